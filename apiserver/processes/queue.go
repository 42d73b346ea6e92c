// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
)

// queueAge is the age up to which an order of a queue is used. A position can be off by
// what the queue has moved since then.
const queueAge = time.Second

// MaxConcurrent returns how many processes of a type, by its object name, run at the same
// time; 0 if there is no limit or no such type.
type MaxConcurrent func(typeName types.NamespacedName) int

// queues are the queues of the types with a maxConcurrent. The operator admits the oldest
// process first, so the cache shows which processes are before another one. A queue is
// sorted out when a position is asked for, at most once in a queueAge, however many
// clients ask. It is safe for concurrent use.
type queues struct {
	cache         *Cache
	maxConcurrent MaxConcurrent

	mu     sync.Mutex
	byType map[types.NamespacedName]queue // not older than queueAge
}

// queue is the order of the processes of a type at a time.
type queue struct {
	at time.Time
	// notStarted are the processes that no worker has started, the oldest first.
	notStarted []*v1alpha1.Process
	// admitted is how many of these, from the first one on, have a slot already.
	admitted int
}

// position returns the position of a process in the queue of its type, from 1; 0 if it
// does not wait for a slot.
func (q *queues) position(p *v1alpha1.Process, now time.Time) int {
	typeName := keyOf(p).typeName()
	bound := q.maxConcurrent(typeName)
	if bound == 0 || !notStarted(p) {
		return 0
	}
	queue := q.of(typeName, bound, now)
	// A process that is newer than the queue is behind it.
	before, _ := slices.BinarySearchFunc(queue.notStarted, p, oldestFirst)
	return max(before+1-queue.admitted, 0)
}

// of returns the queue of a type.
func (q *queues) of(typeName types.NamespacedName, bound int, now time.Time) queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	maps.DeleteFunc(q.byType, func(_ types.NamespacedName, old queue) bool { return now.Sub(old.at) >= queueAge })
	current, ok := q.byType[typeName]
	if !ok {
		started := 0
		current.at = now
		q.cache.unfinished(typeName, func(p *v1alpha1.Process) {
			if notStarted(p) {
				current.notStarted = append(current.notStarted, p)
			} else {
				started++
			}
		})
		current.admitted = max(bound-started, 0)
		q.byType[typeName] = current
	}
	return current
}

// notStarted reports whether no attempt of a process has started.
func notStarted(p *v1alpha1.Process) bool { return !p.Finished() && p.Status.StartTime.IsZero() }

func oldestFirst(a, b *v1alpha1.Process) int {
	switch x, y := positionOf(a), positionOf(b); {
	case x.before(y):
		return 1
	case y.before(x):
		return -1
	}
	return 0
}

// QueuePosition returns the position of a process in the queue of its type, from 1, as it
// was at most a second ago; 0 if the process does not wait for a slot of maxConcurrent. It
// makes no call to the API server.
func (s *Store) QueuePosition(p *v1alpha1.Process) int {
	return s.queues.position(p, s.clock.Now())
}
