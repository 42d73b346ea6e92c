// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"procman.dev/procman/api/v1alpha1"
)

// TestBurst posts more processes than may start at the same time. All complete, while a
// type that no node can take fails in its bound.
func TestBurst(t *testing.T) {
	registerEcho(t, "burst", func(s *v1alpha1.ProcessTypeSpec) { s.StartTimeoutSeconds = 60 })
	registerEcho(t, "too-large", func(s *v1alpha1.ProcessTypeSpec) {
		s.StartTimeoutSeconds = 30
		s.Template.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
	})
	var ids []string
	for range 60 {
		ids = append(ids, post(t, "burst", `{}`))
	}
	posted := time.Now()
	tooLarge := post(t, "too-large", `{}`)
	awaitError(t, "too-large", tooLarge, "Unschedulable")
	if took := time.Since(posted); took < 30*time.Second || took > 75*time.Second {
		t.Errorf("it was Unschedulable after %s, want 30 s after its launch", took)
	}
	for _, id := range ids {
		awaitComplete(t, "burst", id)
	}
}
