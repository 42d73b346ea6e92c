// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"cmp"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
)

const (
	// ratePeriod is the time in which starts are counted: as far back as this, but not
	// further than the queue exists.
	ratePeriod = 10 * time.Minute
	// A rate is known if minStarts processes have started, or after minRatePeriod: the first
	// starts of a type can take long, because nodes pull its image.
	minStarts     = 3
	minRatePeriod = time.Minute
	// maxWaitRetryAfter bounds how long a client waits until it tries again.
	maxWaitRetryAfter = 10 * time.Minute
)

// waits estimates how long processes wait until a worker starts them: the number that wait
// in the type, and how fast processes of the type have started. It counts at most once in a
// queueAge for each type. It is safe for concurrent use.
type waits struct {
	cache *Cache

	mu     sync.Mutex
	byType map[types.NamespacedName]typeWait // not older than queueAge
}

// typeWait is what waits in a type at a time.
type typeWait struct {
	at      time.Time
	waiting int
	each    time.Duration // the time from one start to the next; 0 if it is not known
}

func newWaits(c *Cache) *waits {
	return &waits{cache: c, byType: map[types.NamespacedName]typeWait{}}
}

// expected returns how long a process that is created now would wait; 0 if that is not
// known.
func (w *waits) expected(typeName types.NamespacedName, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.byType, func(_ types.NamespacedName, old typeWait) bool { return now.Sub(old.at) >= queueAge })
	current, ok := w.byType[typeName]
	if !ok {
		current = w.count(typeName, now)
		w.byType[typeName] = current
	}
	return current.each * time.Duration(current.waiting+1)
}

// count looks at the processes of a type.
func (w *waits) count(typeName types.NamespacedName, now time.Time) typeWait {
	current := typeWait{at: now}
	since := now // when the queue began to exist, or when the period began
	w.cache.unfinished(typeName, func(p *v1alpha1.Process) {
		if notStarted(p) && !p.Expired(now) {
			current.waiting++
			if p.CreationTimestamp.Time.Before(since) {
				since = p.CreationTimestamp.Time
			}
		}
	})
	if current.waiting == 0 {
		return current
	}
	if begin := now.Add(-ratePeriod); since.Before(begin) {
		since = begin
	}
	starts := 0
	w.cache.after(typeName, Newest, func(p *v1alpha1.Process) bool {
		if notStarted(p) {
			return true
		}
		left := leftQueue(p)
		if left.Before(since) {
			return false // older ones started before, because the oldest starts first
		}
		starts++
		return true
	})
	if period := now.Sub(since); starts >= minStarts || period >= minRatePeriod {
		current.each = period / time.Duration(max(starts, 1))
	}
	return current
}

// leftQueue returns when a process stopped waiting: a worker started it, or it failed
// before.
func leftQueue(p *v1alpha1.Process) time.Time {
	switch {
	case !p.Status.StartTime.IsZero():
		return p.Status.StartTime.Time
	case !p.Status.CompletionTime.IsZero():
		return p.Status.CompletionTime.Time
	}
	return p.CreationTimestamp.Time
}

// checkWait returns a BusyError if a new process of a type would wait so long that its
// lifetime would not be enough for an attempt of timeoutSeconds. At least half of the
// lifetime can be waited for.
func (s *Store) checkWait(t *v1alpha1.ProcessType) error {
	lifetime := time.Duration(cmp.Or(t.Spec.LifetimeSeconds, v1alpha1.DefaultLifetimeSeconds)) * time.Second
	attempt := time.Duration(t.Spec.TimeoutSeconds) * time.Second
	allowed := max(lifetime-attempt, lifetime/2)
	expected := s.waits.expected(types.NamespacedName{Namespace: t.Namespace, Name: t.Name}, s.clock.Now())
	if expected <= allowed {
		return nil
	}
	return &BusyError{
		RetryAfter: min(max((expected-allowed).Round(time.Second), time.Second), maxWaitRetryAfter),
		Message:    fmt.Sprintf("too many processes of this type wait: this one would wait about %d s, of at most %d s", expected/time.Second, allowed/time.Second),
		Err:        fmt.Errorf("type %s has an expected wait of %s", t.Name, expected.Round(time.Second)),
	}
}
