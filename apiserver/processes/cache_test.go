// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
)

// delivered returns a Process as the informer of a Cache delivers it.
func delivered(t *testing.T, c *Cache, name string, bytes int) *v1alpha1.Process {
	t.Helper()
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: name, UID: types.UID(name)},
		Spec:       v1alpha1.ProcessSpec{Type: "echo", Input: strings.Repeat("x", bytes)},
		Status:     v1alpha1.ProcessStatus{State: v1alpha1.StateComplete, Output: strings.Repeat("y", bytes)},
	}
	object, err := c.Transform()(p)
	if err != nil {
		t.Fatal(err)
	}
	return object.(*v1alpha1.Process)
}

// What the cache keeps of payloads is bounded, also while it is filled: an informer
// transforms all Processes of its first list before it delivers the first one. What is
// left out is counted with its size.
func TestKeptPayloadsAreBounded(t *testing.T) {
	const n, bytes = 8000, 16 << 10
	c := NewCache()
	for round := range 2 {
		var all []*v1alpha1.Process
		for i := range n {
			all = append(all, delivered(t, c, fmt.Sprint("p", i), bytes))
		}
		kept := int64(0)
		for _, p := range all {
			kept += usageOf(p).kept
			c.Set(p)
		}
		if kept > maxKeptBytes || kept < maxKeptBytes/2 {
			t.Errorf("round %d: %d bytes are kept", round, kept)
		}
		if used := c.used(); used.kept != kept || used.etcd != n*(2*bytes+objectBytes) || c.coming != 0 {
			t.Errorf("round %d: the usage is %+v, and %d are coming, want %d kept", round, used, c.coming, kept)
		}
		tiny := delivered(t, c, "tiny", 50)
		c.Set(tiny)
		if payload.IsOmitted(tiny.Spec.Input) {
			t.Errorf("round %d: a tiny payload is left out", round)
		}
		c.Set(tiny) // again
		for _, p := range append(all, tiny) {
			c.Delete(delivered(t, c, p.Name, 0)) // the last form of a Process is transformed, too
		}
		if used := c.used(); used != (usage{}) || c.coming != 0 {
			t.Errorf("round %d: at the end the usage is %+v, and %d are coming", round, used, c.coming)
		}
	}
}
