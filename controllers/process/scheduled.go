// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"procman.dev/procman/controllers/internal/outcome"
)

const (
	// scheduledMemory is how long it matters that a pod was scheduled: the longest
	// startTimeoutSeconds.
	scheduledMemory = time.Hour
	// maxRequirements is how many requirements are remembered before old ones are removed.
	// Pods of one type have the same ones, so there are about as many as types.
	maxRequirements = 1000
)

// Scheduled remembers when a pod was last scheduled, for each set of requirements of pods.
// It is safe for concurrent use.
type Scheduled struct {
	clock clock.PassiveClock

	mu    sync.Mutex
	first time.Time // when the first pod was observed
	last  map[string]time.Time
}

// NewScheduled returns an empty Scheduled.
func NewScheduled(c clock.PassiveClock) *Scheduled {
	return &Scheduled{clock: c, last: map[string]time.Time{}}
}

// Observe records a pod as it is now.
func (s *Scheduled) Observe(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if s.first.IsZero() {
		s.first = now
	}
	at, requirements := outcome.ScheduledAt(pod), pod.Annotations[outcome.AnnotationRequirements]
	if requirements == "" || now.Sub(at) > scheduledMemory || !at.After(s.last[requirements]) {
		return
	}
	if len(s.last) >= maxRequirements {
		maps.DeleteFunc(s.last, func(_ string, at time.Time) bool { return now.Sub(at) > scheduledMemory })
	}
	s.last[requirements] = at
}

// Last returns when a pod with the same requirements was last scheduled, as far as this
// replica knows. It does not know of pods that were scheduled and deleted before it was the
// leader, so it returns the time of its first observation if that is later.
func (s *Scheduled) Last(pod *corev1.Pod) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.last[pod.Annotations[outcome.AnnotationRequirements]]; last.After(s.first) {
		return last
	}
	return s.first
}
