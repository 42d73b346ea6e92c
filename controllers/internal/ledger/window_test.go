// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"procman.dev/procman/api/v1alpha1"
)

// cluster simulates one node in steps of 50 ms. A start takes 0.5 to 1.5 s and then 0.4 to
// 0.8 s of CPU, which all starts share equally; the node has 2 CPUs. So it starts 3.33 processes a second
// at most. A started process ends after some seconds, which use no CPU. The node has room
// for some pods; a pod that does not fit waits.
type cluster struct {
	random *rand.Rand
	ledger *Ledger
	clock  *clocktesting.FakePassiveClock
	room   int
	runs   time.Duration
	pods   []*simulated          // those that have a place on the node
	queue  []*simulated          // those without one, oldest first
	known  map[string]*simulated // by the name of the process
	most   int                   // the largest number of pods without a place
}

type simulated struct {
	process *v1alpha1.Process
	never   bool // no node can take it
	placed  time.Time
	delay   time.Duration // from then until it needs the CPU
	left    float64       // CPU seconds until it has started
	result  time.Time     // when it started
}

const step = 50 * time.Millisecond

func newCluster(maxStarting, room int, runs time.Duration) *cluster {
	c := clocktesting.NewFakePassiveClock(start)
	s := &cluster{random: rand.New(rand.NewPCG(1, 1)), ledger: New(c, maxStarting), clock: c, room: room, runs: runs, known: map[string]*simulated{}}
	s.ledger.Open()
	return s
}

// post creates n processes of a type.
func (s *cluster) post(typeName string, n int, never bool) {
	s.ledger.Register(key(typeName), 0)
	for i := range n {
		p := newProcess(fmt.Sprintf("%s-%05d", typeName, i), 0)
		p.Spec.Type = typeName
		s.known[p.Name] = &simulated{
			process: p, never: never,
			delay: 500*time.Millisecond + time.Duration(s.random.Int64N(int64(time.Second))), left: 0.4 + 0.4*s.random.Float64(),
		}
		s.launch(s.ledger.Observe(p, false))
	}
}

func (s *cluster) launch(keys []types.NamespacedName) {
	for _, k := range keys {
		s.queue = append(s.queue, s.known[k.Name])
		s.launch(s.ledger.ObserveJob(k, s.known[k.Name].process.UID, true, false))
	}
}

func (s *cluster) advance() {
	s.clock.SetTime(s.clock.Now().Add(step))
	now := s.clock.Now()
	s.queue = slices.DeleteFunc(s.queue, func(p *simulated) bool {
		if p.never || len(s.pods) >= s.room {
			return false
		}
		p.placed = now
		s.pods = append(s.pods, p)
		return true
	})
	s.most = max(s.most, len(s.queue))
	busy := func(p *simulated) bool { return p.left > 0 && now.Sub(p.placed) > p.delay }
	n := 0
	for _, p := range s.pods {
		if busy(p) {
			n++
		}
	}
	share := step.Seconds() * min(1, 2/float64(max(n, 1)))
	for _, p := range slices.Clone(s.pods) {
		if busy(p) {
			p.left -= share
			if p.left <= 0 {
				p.result = now
				p.process = with(p.process, func(q *v1alpha1.Process) { q.Status.StartTime = metav1.NewTime(now) })
				s.launch(s.ledger.Observe(p.process, true))
			}
		}
		if p.left <= 0 && now.Sub(p.result) >= s.runs {
			s.pods = slices.DeleteFunc(s.pods, func(o *simulated) bool { return o == p })
			s.launch(s.ledger.Observe(with(p.process, complete), true))
		}
	}
	if now.Sub(start)%time.Second == 0 {
		s.launch(s.ledger.Tick())
	}
}

// results returns how long after the start of the simulation the processes of a type
// started, in order.
func (s *cluster) results(typeName string) []time.Duration {
	var all []time.Duration
	for _, p := range s.known {
		if p.process.Spec.Type == typeName && !p.result.IsZero() {
			all = append(all, p.result.Sub(start))
		}
	}
	slices.Sort(all)
	return all
}

// run advances until n processes of a type have started, at most for an hour.
func (s *cluster) run(t *testing.T, typeName string, n int) []time.Duration {
	t.Helper()
	for range time.Hour / step {
		if r := s.results(typeName); len(r) >= n {
			return r
		}
		s.advance()
	}
	t.Fatalf("only %d of %d processes of type %s have started after an hour; the window is %.1f", len(s.results(typeName)), n, typeName, s.ledger.window.size)
	return nil
}

func TestWindowUsesTheCapacity(t *testing.T) {
	const n = 100
	all := newCluster(0, 1000, 0)
	all.post("t", n, false)
	atOnce := all.run(t, "t", n)
	windowed := newCluster(64, 1000, 0)
	windowed.post("t", n, false)
	got := windowed.run(t, "t", n)
	t.Logf("all at once: median %s, last %s; window %.1f: median %s, last %s", atOnce[n/2], atOnce[n-1], windowed.ledger.window.size, got[n/2], got[n-1])
	long := newCluster(64, 1000, 0)
	long.post("t", 400, false)
	many := long.run(t, "t", 400)
	rate := 300 / (many[349] - many[49]).Seconds() // without the beginning and the end
	t.Logf("%.2f starts a second; the capacity is 3.33", rate)
	if rate < 0.9*2/0.6 {
		t.Errorf("%.2f starts a second; the capacity is 3.33", rate)
	}
	if got[n/2] > atOnce[n/2]*3/4 {
		t.Errorf("the median start is after %s, and %s if all start at once", got[n/2], atOnce[n/2])
	}
}

// 300 processes of 20 s each, and room for 30 pods: the node is full for minutes.
func TestWindowInAFullCluster(t *testing.T) {
	s := newCluster(64, 30, 20*time.Second)
	s.post("t", 300, false)
	got := s.run(t, "t", 300)
	t.Logf("last start after %s, at most %d pods without a node, window %.1f", got[299], s.most, s.ledger.window.size)
	if ideal := 300.0 / 30 * 21.6; got[299].Seconds() > ideal/0.9 {
		t.Errorf("the last start was after %s, want about %.0f s", got[299], ideal)
	}
	if s.most > 64 {
		t.Errorf("%d pods waited for a node", s.most)
	}
}

func TestWindowIsFair(t *testing.T) {
	s := newCluster(64, 10_000, 0)
	s.post("many", 2000, false)
	s.run(t, "many", 50)
	posted := s.clock.Since(start)
	s.post("one", 1, false)
	took := s.run(t, "one", 1)[0] - posted
	t.Logf("the only process of a type started after %s", took)
	if took > 10*time.Second {
		t.Errorf("the only process of a type waited %s behind 2000 of another", took)
	}
}

// A type that no node can ever take leaves the window to the others. All its processes are
// launched in bounded time nevertheless, so that each gets its error.
func TestWindowOfATypeThatNeverStarts(t *testing.T) {
	s := newCluster(64, 1000, 0)
	s.post("never", 500, true)
	s.post("t", 100, false)
	got := s.run(t, "t", 100)
	t.Logf("last start after %s, %d pods without a node", got[99], s.most)
	if got[99] > 40*time.Second || s.most > firstTypeLimit+10 {
		t.Errorf("the last start was after %s, and %d pods waited for a node", got[99], s.most)
	}
	for len(s.queue) < 500 && s.clock.Since(start) < 10*time.Minute {
		s.advance()
	}
	t.Logf("all are launched after %s", s.clock.Since(start))
	if took, bound := s.clock.Since(start), stuckAfter+505*time.Second; len(s.queue) < 500 || took > bound {
		t.Errorf("%d of 500 are launched after %s, want all after %s", len(s.queue), took, bound)
	}
}

// A type whose first start takes minutes, because nodes pull its image, is as fast as any
// other afterwards.
func TestWindowOfATypeThatWasStuck(t *testing.T) {
	s := newCluster(64, 0, 0)
	s.post("t", 300, false)
	for s.clock.Since(start) < 2*time.Minute {
		s.advance()
	}
	s.room = 10_000
	got := s.run(t, "t", 300)
	t.Logf("%d pods waited, last start after %s", s.most, got[299])
	if took := got[299] - 2*time.Minute; took.Seconds() > 300*0.3/0.9+10 {
		t.Errorf("300 starts took %s", took)
	}
}

// After a restart, only processes that have not started have a place, and what this ledger
// did not admit is not measured.
func TestWindowAfterARestart(t *testing.T) {
	c := clocktesting.NewFakePassiveClock(start)
	l := New(c, 64)
	l.Register(typeT, 0)
	running := with(newProcess("running", 0), func(p *v1alpha1.Process) { p.Status.StartTime = metav1.NewTime(start) })
	l.Observe(running, true)
	l.Observe(newProcess("starting", 1), true)
	l.Observe(newProcess("waiting", 2), false)
	l.Open()
	if n := len(l.starting); n != 2 {
		t.Errorf("%d processes start, want starting and waiting", n)
	}
	l.Observe(with(newProcess("starting", 1), func(p *v1alpha1.Process) { p.Status.StartTime = metav1.NewTime(start) }), true)
	if n := len(l.starting); n != 1 || l.types[typeT].pace.prompt() != 0 {
		t.Errorf("%d processes start, want waiting; the pace is %s, want 0", n, l.types[typeT].pace.prompt())
	}
}

// A suspended Job does not start.
func TestWindowIgnoresSuspendedJobs(t *testing.T) {
	l := New(clocktesting.NewFakePassiveClock(start), 2)
	l.Open()
	l.Register(typeT, 0)
	admitted := 0
	for i := range 20 {
		admitted += len(l.Observe(newProcess(fmt.Sprintf("p%02d", i), i), false))
	}
	for i := range 20 {
		admitted += len(l.ObserveJob(key(fmt.Sprintf("p%02d", i)), types.UID(fmt.Sprintf("uid-p%02d", i)), true, true))
	}
	if admitted != 20 || len(l.starting) != 0 {
		t.Errorf("%d are admitted and %d start, want 20 and 0", admitted, len(l.starting))
	}
}
