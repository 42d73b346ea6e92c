// Package queue decides which Processes of a type may run while its
// maxConcurrent bounds them: the oldest first. It holds no client and nothing
// that outlives the operator: what it is told of Processes, Jobs and types comes
// from informers, so a restarted operator knows the same again.
//
// A Process that is under way holds a slot from the moment its turn comes until
// it is finished, deleted or about to be: also before its Job is seen in a
// cache, so that a cache that lags behind our own writes admits nobody twice.
package queue

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/btree"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Process is what the queue looks at of a Process.
type Process struct {
	Name    string
	UID     types.UID
	Type    string
	Created time.Time
	// Position is what its status says of its place in line; 0 for nothing.
	Position int32
	// Launched says that it has a Job.
	Launched bool
	// Over says that it needs no slot any more: finished, or being deleted.
	Over bool
}

// Queue is the lines of all types. It is safe for concurrent use.
type Queue struct {
	clock clock.PassiveClock
	waits *prometheus.HistogramVec
	// changed has a value when there is something new to show.
	changed chan struct{}

	mu      sync.Mutex
	open    bool
	members map[string]*member // by the Process's name
	lines   map[string]*line   // by the type's name
	// outdated hold a slot while their status still says a position.
	outdated map[*member]struct{}
	// cursor is the type whose positions were shown last.
	cursor string
}

// member is a Process that is neither finished nor deleted.
type member struct {
	name    string
	uid     types.UID
	created time.Time
	line    *line
	shown   int32 // the position in its status; 0 for none
}

// line is one type's: who waits, who holds a slot. A member is in one of both.
type line struct {
	typeName   string
	registered bool
	bound      int // 0 for none
	waiting    *btree.BTreeG[*member]
	holding    map[*member]struct{}
	moved      bool // positions have changed since they were last shown
}

// oldestFirst is the order of a line. Creation times have whole seconds; within
// one, names decide: ids sort as they were made, and nobody can choose one over HTTP.
func oldestFirst(a, b *member) bool {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name, b.name)) < 0
}

// New returns a queue that admits nobody until it is opened.
func New(c clock.PassiveClock) *Queue {
	return &Queue{
		clock:    c,
		waits:    newWaits(),
		changed:  make(chan struct{}, 1),
		members:  map[string]*member{},
		lines:    map[string]*line{},
		outdated: map[*member]struct{}{},
	}
}

// Admits says whether a Process that it has been told of holds a slot. The first
// question opens the queue: whoever asks has all caches filled, and whatever
// they hold has been told. Those whose turn it then is are about to ask as well.
func (q *Queue) Admits(name string, uid types.UID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open {
		q.open = true
		for _, l := range q.lines {
			q.advance(l)
		}
	}
	m := q.members[name]
	return m != nil && m.uid == uid && m.holds()
}

// Observe takes in a Process as it is now, and returns the names of those whose
// turn it has become.
func (q *Queue) Observe(p Process) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.members[p.Name]
	var turns []string
	if m != nil && (p.Over || m.uid != p.UID) {
		turns = q.remove(m)
		m = nil
	}
	if p.Over {
		return turns
	}
	if m == nil {
		m = &member{name: p.Name, uid: p.UID, created: p.Created, line: q.lineOf(p.Type)}
		q.members[p.Name] = m
		m.line.waiting.ReplaceOrInsert(m)
		m.line.moved = true
	}
	q.show(m, p.Position)
	if p.Launched {
		q.hold(m)
	}
	return append(turns, q.advance(m.line)...)
}

// Forget takes in that a Process is gone, and returns the names of those whose
// turn it has become.
func (q *Queue) Forget(name string, uid types.UID) []string {
	return q.Observe(Process{Name: name, UID: uid, Over: true})
}

// Launched takes in that a Process has a Job, whether or not it was its turn.
func (q *Queue) Launched(name string, uid types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.members[name]; m != nil && m.uid == uid {
		q.hold(m)
	}
}

// Register takes in a type and how many of its Processes may run at once, 0 for
// any number. It returns the names of those whose turn it has become.
func (q *Queue) Register(typeName string, bound int) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lineOf(typeName)
	l.registered, l.bound = true, bound
	return q.advance(l)
}

// Unregister takes in that a type is gone. Nobody's turn comes any more; it
// returns the names of all that wait, for them to find out.
func (q *Queue) Unregister(typeName string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lineOf(typeName)
	l.registered = false
	q.waits.DeleteLabelValues(typeName)
	names := make([]string, 0, l.waiting.Len())
	l.waiting.Ascend(func(m *member) bool {
		names = append(names, m.name)
		return true
	})
	q.dropEmpty(l)
	return names
}

// advance gives slots to the first in line while there are any, and returns
// their names. A type that is not registered (yet) gives none.
func (q *Queue) advance(l *line) []string {
	var turns []string
	for q.open && l.registered && l.waiting.Len() > 0 && (l.bound == 0 || len(l.holding) < l.bound) {
		m, _ := l.waiting.Min()
		q.hold(m)
		q.waits.WithLabelValues(l.typeName).Observe(max(q.clock.Since(m.created), 0).Seconds())
		turns = append(turns, m.name)
	}
	if l.moved && l.waiting.Len() > 0 {
		q.signal()
	}
	return turns
}

// hold moves a member from those who wait to those who hold a slot.
func (q *Queue) hold(m *member) {
	if m.holds() {
		return
	}
	m.line.waiting.Delete(m)
	m.line.holding[m] = struct{}{}
	m.line.moved = true
	q.show(m, m.shown)
}

// remove takes a member out of its line, and returns whose turn it has become.
func (q *Queue) remove(m *member) []string {
	l := m.line
	delete(q.members, m.name)
	delete(q.outdated, m)
	delete(l.holding, m)
	if _, waited := l.waiting.Delete(m); waited {
		l.moved = true
	}
	turns := q.advance(l)
	q.dropEmpty(l)
	return turns
}

// show takes in what a member's status says of its position.
func (q *Queue) show(m *member, position int32) {
	m.shown = position
	if position == 0 || !m.holds() {
		delete(q.outdated, m)
		return
	}
	q.outdated[m] = struct{}{}
	q.signal()
}

func (m *member) holds() bool {
	_, holds := m.line.holding[m]
	return holds
}

func (q *Queue) lineOf(typeName string) *line {
	l := q.lines[typeName]
	if l == nil {
		l = &line{typeName: typeName, waiting: btree.NewG(32, oldestFirst), holding: map[*member]struct{}{}}
		q.lines[typeName] = l
	}
	return l
}

// dropEmpty forgets the line of a type that is not registered once nobody is in
// it.
func (q *Queue) dropEmpty(l *line) {
	if !l.registered && l.waiting.Len() == 0 && len(l.holding) == 0 {
		delete(q.lines, l.typeName)
	}
}

// typeNames are the types with a line, sorted, from the one after the cursor on.
func (q *Queue) typeNames() []string {
	names := slices.Sorted(maps.Keys(q.lines))
	after, found := slices.BinarySearch(names, q.cursor)
	if found {
		after++
	}
	return slices.Concat(names[after:], names[:after])
}
