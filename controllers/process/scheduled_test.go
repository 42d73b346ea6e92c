// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"procman.dev/procman/controllers/internal/outcome"
)

func scheduledPod(requirements string, seconds int) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{outcome.AnnotationRequirements: requirements}}}
	if seconds != 0 {
		pod.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start.Add(time.Duration(seconds) * time.Second)),
		}}
	}
	return pod
}

func TestScheduled(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(start)
	s := NewScheduled(now)
	expect := func(requirements string, seconds int) {
		t.Helper()
		if got, want := s.Last(scheduledPod(requirements, 0)), start.Add(time.Duration(seconds)*time.Second); !got.Equal(want) {
			t.Errorf("a pod like %s was last scheduled at %s, want %s", requirements, got, want)
		}
	}
	s.Observe(scheduledPod("a", -20)) // before this replica was the leader
	expect("a", 0)
	s.Observe(scheduledPod("a", 30))
	s.Observe(scheduledPod("a", 10))
	s.Observe(scheduledPod("a", 0))
	expect("a", 30)
	expect("b", 0)
}

func TestScheduledIsBounded(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(start)
	s := NewScheduled(now)
	for i := range maxRequirements {
		s.Observe(scheduledPod(fmt.Sprint("old", i), 1))
	}
	now.SetTime(start.Add(2 * scheduledMemory))
	s.Observe(scheduledPod("new", int(2*scheduledMemory/time.Second)))
	if n := len(s.last); n != 1 {
		t.Errorf("it remembers %d requirements, want 1", n)
	}
}
