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

// nodeCPU returns the CPU that a node has for pods, in thousandths.
func nodeCPU(t *testing.T) int64 {
	t.Helper()
	var nodes corev1.NodeList
	if err := kube.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	return nodes.Items[0].Status.Allocatable.Cpu().MilliValue()
}

// TestBurst fills the node: it takes at most a third of these processes at a time, and most
// of them wait longer than startTimeoutSeconds. All complete, also if the operator is killed.
// Meanwhile a type that no node can take fails in its bound. The test is not parallel,
// because it kills the operator.
func TestBurst(t *testing.T) {
	const n = 60
	cpu := *resource.NewMilliQuantity(nodeCPU(t)/(n/3), resource.DecimalSI)
	registerEcho(t, "burst", func(s *v1alpha1.ProcessTypeSpec) {
		s.StartTimeoutSeconds = 15
		s.Template.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: cpu}
	})
	registerEcho(t, "too-large", func(s *v1alpha1.ProcessTypeSpec) {
		s.StartTimeoutSeconds = 30
		s.Template.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
	})
	var ids []string
	for range n {
		ids = append(ids, post(t, "burst", `{"echo":{"seconds":8}}`))
	}
	posted := time.Now()
	awaitError(t, "too-large", post(t, "too-large", `{}`), "Unschedulable")
	// The time runs from the creation of the pod, which has whole seconds.
	if took := time.Since(posted); took < 28*time.Second || took > 2*time.Minute {
		t.Errorf("it was Unschedulable after %s, want 30 s after its launch", took)
	}
	killPods(t, "procman-operator")()
	for _, id := range ids {
		awaitTerminal(t, "burst", id, 5*time.Minute)
		awaitComplete(t, "burst", id)
	}
	t.Logf("%d processes of %s CPU completed within %s", n, cpu.String(), time.Since(posted).Round(time.Second))
}
