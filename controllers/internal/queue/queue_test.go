package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// opened is a queue whose question has been asked.
func opened() (*Queue, *clocktesting.FakePassiveClock) {
	c := clocktesting.NewFakePassiveClock(start)
	q := New(c)
	q.Admits("nobody", "")
	return q, c
}

// aProcess of type "t", created so many seconds after the start.
func aProcess(name string, seconds int) Process {
	return Process{Name: name, UID: types.UID("uid-" + name), Type: "t", Created: start.Add(time.Duration(seconds) * time.Second)}
}

func (p Process) launched() Process         { p.Launched = true; return p }
func (p Process) over() Process             { p.Over = true; return p }
func (p Process) shows(place int32) Process { p.Position = place; return p }

func admitted(q *Queue, names ...string) string {
	var in []string
	for _, name := range names {
		if q.Admits(name, types.UID("uid-"+name)) {
			in = append(in, name)
		}
	}
	return strings.Join(in, " ")
}

func TestTurns(t *testing.T) {
	type step struct {
		what  string
		do    func(q *Queue) []string
		turns string
	}
	observe := func(p Process, turns string) step {
		return step{"observe " + p.Name, func(q *Queue) []string { return q.Observe(p) }, turns}
	}
	register := func(bound int, turns string) step {
		return step{fmt.Sprint("register ", bound), func(q *Queue) []string { return q.Register("t", bound) }, turns}
	}
	forget := func(p Process, turns string) step {
		return step{"forget " + p.Name, func(q *Queue) []string { return q.Forget(p.Name, p.UID) }, turns}
	}
	unregister := func(turns string) step {
		return step{"unregister", func(q *Queue) []string { return q.Unregister("t") }, turns}
	}
	a, b, c, d := aProcess("a", 0), aProcess("b", 1), aProcess("c", 2), aProcess("d", 2)
	another := a
	another.UID = "another"
	for name, test := range map[string]struct {
		steps    []step
		admitted string
	}{
		"no bound":                          {[]step{register(0, ""), observe(a, "a"), observe(b, "b"), observe(c, "c")}, "a b c"},
		"up to the bound":                   {[]step{register(2, ""), observe(a, "a"), observe(b, "b"), observe(c, "")}, "a b"},
		"one that ends makes room":          {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(a.over(), "b")}, "b"},
		"one that is gone makes room":       {[]step{register(1, ""), observe(a, "a"), observe(b, ""), forget(a, "b")}, "b"},
		"the end is told twice":             {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), observe(a.over(), "b"), forget(a, "")}, "b"},
		"oldest first, then by name":        {[]step{register(1, ""), observe(a, "a"), observe(d, ""), observe(c, ""), observe(b, ""), forget(a, "b"), forget(b, "c"), forget(c, "d")}, "d"},
		"one that leaves the line":          {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), forget(b, ""), forget(a, "c")}, "c"},
		"the bound rises":                   {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), observe(d, ""), register(3, "b c")}, "a b c"},
		"the bound goes":                    {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), register(0, "b c")}, "a b c"},
		"the bound falls":                   {[]step{register(2, ""), observe(a, "a"), observe(b, "b"), observe(c, ""), register(1, ""), forget(a, ""), forget(b, "c")}, "c"},
		"seen again":                        {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(a, ""), observe(b, ""), observe(a.launched(), "")}, "a"},
		"launched by another leader":        {[]step{register(1, ""), observe(a.launched(), ""), observe(b.launched(), ""), observe(c, ""), forget(a, ""), forget(b, "c")}, "c"},
		"its type comes later":              {[]step{observe(a, ""), observe(b, ""), register(1, "a")}, "a"},
		"its type goes: all may look":       {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), unregister("b c"), forget(a, "")}, ""},
		"another of that name":              {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(another, "b")}, "b"},
		"the end of the one before of that": {[]step{register(1, ""), observe(another, "a"), observe(b, ""), observe(another, "")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			q, _ := opened()
			for i, s := range test.steps {
				if got := strings.Join(s.do(q), " "); got != s.turns {
					t.Errorf("step %d, %s: it becomes the turn of %q, want %q", i, s.what, got, s.turns)
				}
			}
			if got := admitted(q, "a", "b", "c", "d"); got != test.admitted {
				t.Errorf("admitted are %q, want %q", got, test.admitted)
			}
		})
	}
}

func TestNobodyIsAdmittedBeforeAllIsKnown(t *testing.T) {
	q := New(clocktesting.NewFakePassiveClock(start))
	young, old, older := aProcess("young", 9), aProcess("old", 1), aProcess("older", 0)
	if turns := slices.Concat(q.Register("t", 2), q.Observe(young), q.Observe(old), q.Observe(older.launched())); len(turns) > 0 {
		t.Errorf("it becomes the turn of %q before anybody asks", turns)
	}
	if got := admitted(q, "young", "old", "older"); got != "old older" {
		t.Errorf("admitted are %q, want old older", got)
	}
}

func TestJobThatIsSeenLateTakesASlot(t *testing.T) {
	q, _ := opened()
	q.Register("t", 1)
	q.Observe(aProcess("a", 0))
	q.Observe(aProcess("b", 1))
	q.Launched("b", "another")
	if got := admitted(q, "a", "b"); got != "a" {
		t.Errorf("admitted are %q: the Job is another one's", got)
	}
	q.Launched("b", "uid-b")
	q.Observe(aProcess("c", 2))
	if turns := q.Forget("a", "uid-a"); len(turns) > 0 {
		t.Errorf("it becomes the turn of %q while b runs", turns)
	}
}

func TestPositions(t *testing.T) {
	q, _ := opened()
	q.Register("t", 1)
	q.Observe(aProcess("running", 0).launched())
	for i := range 300 {
		q.Observe(aProcess(fmt.Sprintf("p%03d", i), 1))
	}
	showAll := func() (shown int) {
		for {
			due, more := q.Due(100)
			if len(due) > 100 {
				t.Fatalf("%d are due at once", len(due))
			}
			for _, p := range due {
				q.Showed(p, true)
			}
			shown += len(due)
			if !more {
				return shown
			}
		}
	}
	if n := showAll(); n != 300 {
		t.Errorf("%d are shown their first position, want 300", n)
	}
	if n := showAll(); n != 0 {
		t.Errorf("%d are shown a position that has not changed", n)
	}

	q.Forget("running", "uid-running")
	if diff := cmp.Diff([]Position{{Name: "p000", UID: "uid-p000"}}, q.Outdated()); diff != "" {
		t.Errorf("whose turn it is: %s", diff)
	}
	q.Showed(q.Outdated()[0], true)
	if len(q.Outdated()) != 0 {
		t.Error("its position is taken away twice")
	}
	due, _ := q.Due(100)
	if len(due) != exact || due[0] != (Position{Name: "p001", UID: "uid-p001", Place: 1}) {
		t.Errorf("after one step %d are due, from %v; want the first %d", len(due), due[:1], exact)
	}

	// To the front, one step at a time: everybody's status is true to a tenth.
	writes := showAll()
	for i := range 299 {
		q.Forget(fmt.Sprintf("p%03d", i), types.UID(fmt.Sprintf("uid-p%03d", i)))
		for _, p := range q.Outdated() {
			q.Showed(p, true)
		}
		writes += showAll()
		place := int32(0)
		q.lines["t"].waiting.Ascend(func(m *member) bool {
			place++
			if place <= exact && m.shown != place || m.shown < place || m.shown > place+m.shown/10+1 {
				t.Fatalf("%s at place %d shows %d", m.name, place, m.shown)
			}
			return true
		})
	}
	if writes > 300*50 {
		t.Errorf("%d writes for 300 that waited", writes)
	}
}

func TestPositionsAcrossARestart(t *testing.T) {
	q, _ := opened()
	q.Register("t", 1)
	q.Observe(aProcess("a", 0).launched().shows(1))
	q.Observe(aProcess("b", 1).shows(2))
	q.Observe(aProcess("c", 2).shows(2))
	if due, _ := q.Due(9); len(due) != 1 || due[0].Name != "b" || due[0].Place != 1 {
		t.Errorf("due are %v, want b at 1", due)
	}
	if outdated := q.Outdated(); len(outdated) != 1 || outdated[0].Name != "a" {
		t.Errorf("outdated are %v, want a, which runs", outdated)
	}
}

func TestPositionThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	q, _ := opened()
	q.Register("t", 1)
	q.Observe(aProcess("a", 0))
	q.Observe(aProcess("b", 1))
	for range 2 {
		due, _ := q.Due(9)
		if len(due) != 1 || due[0].Name != "b" {
			t.Fatalf("due are %v, want b", due)
		}
		q.Showed(due[0], false)
	}
	// Its turn comes while the write is under way.
	due, _ := q.Due(9)
	q.Forget("a", "uid-a")
	q.Showed(due[0], true)
	if outdated := q.Outdated(); len(outdated) != 1 || outdated[0].Name != "b" {
		t.Errorf("outdated are %v, want b", outdated)
	}
}

func TestTypesTakeTurnsAtBeingShown(t *testing.T) {
	q, _ := opened()
	for _, typeName := range []string{"a", "b"} {
		q.Register(typeName, 1)
		for i := range 10 {
			p := aProcess(fmt.Sprint(typeName, i), i)
			p.Type = typeName
			q.Observe(p)
		}
	}
	var first []string
	for range 4 {
		due, _ := q.Due(2)
		first = append(first, due[0].Name)
		for _, p := range due {
			q.Showed(p, true)
		}
	}
	if diff := cmp.Diff([]string{"a1", "b1", "a3", "b3"}, first); diff != "" {
		t.Error(diff)
	}
}

func TestMetrics(t *testing.T) {
	q, c := opened()
	q.Register("t", 1)
	q.Register("idle", 0)
	q.Observe(aProcess("a", 0))
	q.Observe(aProcess("b", 1))
	unknown := aProcess("u", 0)
	unknown.Type = "unknown"
	q.Observe(unknown)
	c.SetTime(start.Add(42 * time.Second))
	gauges := func(want string) {
		t.Helper()
		if err := testutil.CollectAndCompare(q, strings.NewReader(want), "procman_processes_queued", "procman_processes_running"); err != nil {
			t.Error(err)
		}
	}
	gauges(`
# HELP procman_processes_queued Processes that wait because maxConcurrent of their type are running.
# TYPE procman_processes_queued gauge
procman_processes_queued{type="idle"} 0
procman_processes_queued{type="t"} 1
# HELP procman_processes_running Processes that have had their turn and are not finished.
# TYPE procman_processes_running gauge
procman_processes_running{type="idle"} 0
procman_processes_running{type="t"} 1
`)
	q.Forget("a", "uid-a")
	if err := testutil.CollectAndCompare(q.waits, strings.NewReader(`
# HELP procman_queue_wait_seconds How long after its creation a Process's turn came, exact to a second.
# TYPE procman_queue_wait_seconds histogram
procman_queue_wait_seconds_bucket{type="t",le="1"} 1
procman_queue_wait_seconds_bucket{type="t",le="2"} 1
procman_queue_wait_seconds_bucket{type="t",le="5"} 1
procman_queue_wait_seconds_bucket{type="t",le="10"} 1
procman_queue_wait_seconds_bucket{type="t",le="30"} 1
procman_queue_wait_seconds_bucket{type="t",le="60"} 2
procman_queue_wait_seconds_bucket{type="t",le="120"} 2
procman_queue_wait_seconds_bucket{type="t",le="300"} 2
procman_queue_wait_seconds_bucket{type="t",le="600"} 2
procman_queue_wait_seconds_bucket{type="t",le="1200"} 2
procman_queue_wait_seconds_bucket{type="t",le="3600"} 2
procman_queue_wait_seconds_bucket{type="t",le="14400"} 2
procman_queue_wait_seconds_bucket{type="t",le="86400"} 2
procman_queue_wait_seconds_bucket{type="t",le="+Inf"} 2
procman_queue_wait_seconds_sum{type="t"} 41
procman_queue_wait_seconds_count{type="t"} 2
`)); err != nil {
		t.Error(err)
	}
	q.Unregister("t")
	if n := testutil.CollectAndCount(q); n != 2 {
		t.Errorf("%d series remain, want the two of idle", n)
	}
}
