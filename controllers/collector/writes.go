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

// Bounds of the type writes.
const (
	// writesMemory is how long a write is remembered.
	writesMemory = agentapi.SmallStepInterval
	// maxWrites is how many writes are remembered, at most two for each pod. If there are
	// more, the oldest ones are forgotten early.
	maxWrites = 100_000
)

// writes remembers which pods caused a write to the status of their Process, so that a
// pod that sends many requests causes few writes. Each replica of the operator has a
// writes of its own, so it limits the writes of one replica. It is safe for concurrent
// use.
type writes struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	recent *cache.LRUExpireCache // from write to time.Time
}

// write is the key of the last write of a field for a pod.
type write struct {
	pod   types.UID
	field string
}

func newWrites(c clock.PassiveClock) *writes {
	return &writes{clock: c, recent: cache.NewLRUExpireCacheWithClock(maxWrites, c)}
}

// progress reports whether p has to be written now, and remembers it as written, even if
// the write fails later. last is the progress in the status of the Process.
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
// remembers it as written.
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
