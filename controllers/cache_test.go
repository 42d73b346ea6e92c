// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/controllers/internal/outcome"
)

// A pod in the cache has no spec except its node. It keeps what decides which nodes can
// take it, also if it is trimmed again.
func TestTrimPod(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node-1", PriorityClassName: "high", Containers: []corev1.Container{{Name: "worker"}}}}
	want := outcome.Requirements(&pod.Spec)
	for range 2 {
		if _, err := trimPod(pod); err != nil {
			t.Fatal(err)
		}
		if got := pod.Annotations[outcome.AnnotationRequirements]; got != want || pod.Spec.NodeName != "node-1" || len(pod.Spec.Containers) != 0 {
			t.Errorf("requirements %q, want %q; spec %+v", got, want, pod.Spec)
		}
	}
}
