// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"procman.dev/procman/api/v1alpha1"
)

// model is what the cluster contains, and an implementation of the queue as a plain
// list. The ledger has to behave like it.
type model struct {
	ledger        *Ledger
	maxConcurrent int
	processes     map[string]*modelProcess
	created       int
}

type modelProcess struct {
	*v1alpha1.Process
	admitted, hasJob bool
}

// expect admits Processes from the plain list, and compares.
func (m *model) expect(t *rapid.T, got []types.NamespacedName) {
	var want []string
	for _, p := range m.waiting() {
		if m.maxConcurrent > 0 && m.admitted() >= m.maxConcurrent {
			break
		}
		p.admitted = true
		want = append(want, p.Name)
	}
	var admitted []string
	for _, k := range got {
		admitted = append(admitted, k.Name)
	}
	if !slices.Equal(want, admitted) {
		t.Fatalf("it admits %q, want %q", admitted, want)
	}
}

func (m *model) admitted() int {
	n := 0
	for _, p := range m.processes {
		if p.admitted {
			n++
		}
	}
	return n
}

// waiting returns the Processes in the queue, the oldest first.
func (m *model) waiting() []*modelProcess {
	var queue []*modelProcess
	for _, p := range m.processes {
		if !p.admitted {
			queue = append(queue, p)
		}
	}
	slices.SortFunc(queue, func(a, b *modelProcess) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return queue
}

// counts counts the Processes one by one.
func (m *model) counts() (c Counts) {
	for _, p := range m.processes {
		if p.hasJob {
			c.Running++
		} else {
			c.Queued++
		}
	}
	return c
}

// any returns one of the Processes; nil if there is none.
func (m *model) any(t *rapid.T) *modelProcess {
	if len(m.processes) == 0 {
		return nil
	}
	return m.processes[rapid.SampledFrom(slices.Sorted(maps.Keys(m.processes))).Draw(t, "process")]
}

func TestLedgerBehavesLikeAPlainList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{processes: map[string]*modelProcess{}}
		m.ledger, _ = opened()
		m.ledger.Register(typeT, 0)
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				m.created++
				p := newProcess(fmt.Sprint("p", m.created), rapid.IntRange(0, 20).Draw(t, "created"))
				m.processes[p.Name] = &modelProcess{Process: p}
				m.expect(t, m.ledger.Observe(p, false))
			},
			"launch": func(t *rapid.T) {
				if p := m.any(t); p != nil && m.ledger.Admitted(key(p.Name), p.UID) {
					p.hasJob = true
					m.ledger.ObserveJob(key(p.Name), p.UID, true, false)
				}
			},
			"delete its Job": func(t *rapid.T) {
				if p := m.any(t); p != nil {
					p.hasJob = false
					m.ledger.ObserveJob(key(p.Name), p.UID, false, false)
				}
			},
			"see again": func(t *rapid.T) {
				if p := m.any(t); p != nil {
					m.expect(t, m.ledger.Observe(p.Process, p.hasJob))
				}
			},
			"delete": func(t *rapid.T) {
				if p := m.any(t); p != nil {
					delete(m.processes, p.Name)
					m.expect(t, m.ledger.Forget(key(p.Name), p.UID))
				}
			},
			"change the limit": func(t *rapid.T) {
				m.maxConcurrent = rapid.IntRange(0, 5).Draw(t, "limit")
				m.expect(t, m.ledger.Register(typeT, m.maxConcurrent))
			},
			"restart": func(t *rapid.T) {
				// A Job shows that its Process was admitted. One that was admitted, but
				// has no Job, waits again. The events come in any order.
				m.ledger = New(clocktesting.NewFakePassiveClock(start), 0)
				events := []func(){func() { m.ledger.Register(typeT, m.maxConcurrent) }}
				for _, p := range m.processes {
					p.admitted = p.hasJob
					events = append(events, func() { m.ledger.Observe(p.Process, p.hasJob) }, func() { m.ledger.ObserveJob(key(p.Name), p.UID, p.hasJob, false) })
				}
				shuffle := rand.New(rand.NewPCG(uint64(rapid.Int().Draw(t, "order")), 0))
				shuffle.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				for _, event := range events {
					event()
				}
				m.ledger.Open()
				var admitted []types.NamespacedName
				for _, p := range m.waiting() {
					if m.ledger.Admitted(key(p.Name), p.UID) {
						admitted = append(admitted, key(p.Name))
					}
				}
				m.expect(t, admitted)
			},
			"": func(t *rapid.T) {
				for _, p := range m.processes {
					if got := m.ledger.Admitted(key(p.Name), p.UID); got != p.admitted {
						t.Fatalf("%s is admitted: %t, want %t", p.Name, got, p.admitted)
					}
				}
				if n := len(m.ledger.processes); n != len(m.processes) {
					t.Fatalf("the ledger has %d processes, there are %d", n, len(m.processes))
				}
				if got, _ := m.ledger.Counts(typeT); got != m.counts() {
					t.Fatalf("the counts are %+v, want %+v", got, m.counts())
				}
			},
		})
	})
}
