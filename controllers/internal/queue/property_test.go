package queue

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
)

// world is what the cluster holds: the truth that a queue is built from, and
// what a plain list says of whose turn it is.
type world struct {
	q     *Queue
	bound int
	known map[string]*known
	next  int
}

type known struct {
	Process
	holds bool
}

// settle has a plain list give the slots, and compares.
func (w *world) settle(t *rapid.T, turns []string) {
	var want []string
	for _, k := range w.inLine() {
		if w.bound > 0 && w.holding() >= w.bound {
			break
		}
		k.holds = true
		want = append(want, k.Name)
	}
	if !slices.Equal(want, turns) {
		t.Fatalf("it becomes the turn of %q, want %q", turns, want)
	}
}

func (w *world) holding() int {
	n := 0
	for _, k := range w.known {
		if k.holds {
			n++
		}
	}
	return n
}

// inLine are those that wait, the oldest first.
func (w *world) inLine() []*known {
	var line []*known
	for _, k := range w.known {
		if !k.holds {
			line = append(line, k)
		}
	}
	slices.SortFunc(line, func(a, b *known) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name)) })
	return line
}

// any is some Process that there is; nil when there is none.
func (w *world) any(t *rapid.T) *known {
	if len(w.known) == 0 {
		return nil
	}
	return w.known[rapid.SampledFrom(slices.Sorted(maps.Keys(w.known))).Draw(t, "process")]
}

func TestQueueIsThePlainList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{known: map[string]*known{}}
		w.q, _ = opened()
		w.q.Register("t", 0)
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				w.next++
				name := fmt.Sprint("p", w.next)
				p := Process{Name: name, UID: types.UID(name), Type: "t", Created: start.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "created")) * time.Second)}
				w.known[name] = &known{Process: p}
				w.settle(t, w.q.Observe(p))
			},
			"launch": func(t *rapid.T) {
				if k := w.any(t); k != nil && w.q.Admits(k.Name, k.UID) {
					k.Launched = true
					w.q.Launched(k.Name, k.UID)
				}
			},
			"see again": func(t *rapid.T) {
				if k := w.any(t); k != nil {
					w.settle(t, w.q.Observe(k.Process))
				}
			},
			"end": func(t *rapid.T) {
				if k := w.any(t); k != nil {
					delete(w.known, k.Name)
					w.settle(t, w.q.Forget(k.Name, k.UID))
				}
			},
			"bound": func(t *rapid.T) {
				w.bound = rapid.IntRange(0, 5).Draw(t, "bound")
				w.settle(t, w.q.Register("t", w.bound))
			},
			"restart": func(t *rapid.T) {
				// What is launched is known from its Job; what was only admitted
				// has to be admitted again. Events come in any order.
				w.q = New(clocktesting.NewFakePassiveClock(start))
				events := []func(){func() { w.q.Register("t", w.bound) }}
				for _, k := range w.known {
					k.holds = k.Launched
					events = append(events, func() { w.q.Observe(k.Process) }, func() {
						if k.Launched {
							w.q.Launched(k.Name, k.UID)
						}
					})
				}
				shuffle := rand.New(rand.NewPCG(uint64(rapid.Int().Draw(t, "order")), 0))
				shuffle.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				for _, event := range events {
					event()
				}
				w.q.Admits("nobody", "")
				var turns []string
				for _, k := range w.inLine() {
					if w.q.Admits(k.Name, k.UID) {
						turns = append(turns, k.Name)
					}
				}
				w.settle(t, turns)
			},
			"": func(t *rapid.T) {
				for _, k := range w.known {
					if got := w.q.Admits(k.Name, k.UID); got != k.holds {
						t.Fatalf("%s is admitted: %t, want %t", k.Name, got, k.holds)
					}
				}
				if n := len(w.q.members); n != len(w.known) {
					t.Fatalf("the queue knows %d, there are %d", n, len(w.known))
				}
			},
		})
	})
}
