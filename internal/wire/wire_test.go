// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// TestAccepted checks the order of the keys and that the input is copied byte for byte.
func TestAccepted(t *testing.T) {
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: "id-1", CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))},
		Spec:       v1alpha1.ProcessSpec{LifetimeSeconds: 60},
	}
	const want = `{"processId":"id-1","state":"processing","expirationDateTime":"2026-01-02T03:05:05.000Z","createdDateTime":"2026-01-02T03:04:05.000Z","input":{"b": 1.0,"a":12345678901234567890}}`
	if got := string(Accepted(p, []byte(`{"b": 1.0,"a":12345678901234567890}`))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestState(t *testing.T) {
	p := &v1alpha1.Process{}
	if got := State(p); got != v1alpha1.StateProcessing {
		t.Errorf("the state of a process without one is %q, want processing", got)
	}
	p.Status.State = v1alpha1.StateComplete
	if got := State(p); got != v1alpha1.StateComplete {
		t.Errorf("the state is %q, want complete", got)
	}
}
