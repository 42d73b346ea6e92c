// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"

	"procman.dev/procman/internal/agentapi"
)

// Bounds of what is remembered of the writes for pods.
const (
	// writesMemory is how long a write is remembered.
	writesMemory = agentapi.SmallStepInterval
	// maxWrites is how many writes are remembered: two for each pod. With more pods than
	// that, the oldest writes are forgotten early.
	maxWrites = 100_000
)

// writes remembers which pods caused a write to the status of their Process, so that a
// pod that sends many requests causes few writes. Each replica of the operator has its
// own, so the bounds hold for one replica. It is safe for concurrent use.
type writes struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	recent *cache.LRUExpireCache // write → time.Time
}

// write is the last write of a field for a pod.
type write struct {
	pod   types.UID
	field string
}

func newWrites(c clock.PassiveClock) *writes {
	return &writes{clock: c, recent: cache.NewLRUExpireCacheWithClock(maxWrites, c)}
}

// progress reports whether p is due, and remembers that it is written. last is the
// progress in the status of the Process. It counts as written even if the write fails.
func (w *writes) progress(pod types.UID, p agentapi.Progress, last *int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, elapsed := write{pod, "percentComplete"}, writesMemory
	if at, ok := w.recent.Get(key); ok {
		elapsed = w.clock.Since(at.(time.Time))
	}
	due := p.Due(last, elapsed)
	if due {
		w.recent.Add(key, w.clock.Now(), writesMemory)
	}
	return due
}

// start reports whether the start time of a pod's attempt has to be written, and
// remembers that it is.
func (w *writes) start(pod types.UID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := write{pod, "startTime"}
	if _, ok := w.recent.Get(key); ok {
		return false
	}
	w.recent.Add(key, w.clock.Now(), writesMemory)
	return true
}

// notStarted forgets a start time that could not be written.
func (w *writes) notStarted(pod types.UID) { w.recent.Remove(write{pod, "startTime"}) }
