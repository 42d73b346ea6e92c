// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger keeps the operator's record of the Processes of each process
// type: which of them wait in the queue, which are admitted, which run, and how
// many are terminal. The order of the queue, the counts in the status of a type, the
// metrics and the wake-ups of the process controller all come from this record.
//
// The ledger has no client and stores nothing. The process controller fills it
// from its informers, so a restarted operator builds the same record again.
//
// An admitted Process has one of the maxConcurrent slots of its type until it is
// terminal or deleted. It gets the slot before its Job is created. Therefore no second
// Process can get the slot while the cache does not contain the new Job yet.
package ledger

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/google/btree"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// Ledger is the record of all types. Its keys are namespace and name: two types with
// the same name in different namespaces are independent. It is safe for concurrent use.
type Ledger struct {
	clock clock.PassiveClock
	waits *prometheus.HistogramVec

	mu            sync.Mutex
	open          bool
	countsChanged func(processType types.NamespacedName)
	processes     map[types.NamespacedName]*process
	types         map[types.NamespacedName]*processType

	window   window
	starting map[*process]struct{} // those that have a place in the window
	turns    []*processType        // the registered types, in the order in which they admit
}

// process is the record of one Process. It is kept until the Process is deleted, because
// terminal Processes are counted too.
type process struct {
	key         types.NamespacedName
	uid         types.UID
	created     time.Time
	processType *processType
	state       state

	since    time.Time // when it got its place in the window
	measured bool      // this ledger admitted it, so since is when its start began
	stalled  bool      // it has a slot and has not started, but left its place
	started  bool      // its first attempt has started, or its Job is suspended
}

// state is the state of a Process, as far as the ledger distinguishes it.
type state int

const (
	unknown  state = iota // not recorded
	waiting               // in the queue
	admitted              // has a slot, but no Job
	running               // has a slot and a Job
	terminal              // complete or in error
	states
)

func (p *process) hasSlot() bool { return p.state == admitted || p.state == running }

// processType is the record of one type.
type processType struct {
	key           types.NamespacedName
	registered    bool      // the ProcessType exists
	maxConcurrent int       // 0 if there is no limit
	deletedAt     time.Time // zero if the type was not deleted
	count         [states]int
	queue         *btree.BTreeG[*process]
	admitted      map[*process]struct{}

	pace     pace
	starting int       // processes with a place in the window
	stalled  int       // processes that left their place before they started
	limit    int       // how many of both there may be; it matters as long as it is below the window
	progress time.Time // when a process started, or when the first one began to
	stuck    bool      // none has started for stuckAfter, though some should have
}

func (t *processType) hasFreeSlot() bool {
	return t.maxConcurrent == 0 || t.count[admitted]+t.count[running] < t.maxConcurrent
}

// oldestFirst is the order of a queue. Creation times have whole seconds. Within
// a second the name decides: ids sort in the order of their creation, and an HTTP
// client cannot choose one.
func oldestFirst(a, b *process) bool {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.key.Name, b.key.Name)) < 0
}

// New returns an empty ledger. It admits no Process until Open is called. At most
// maxStarting admitted Processes have not started; 0 means no limit.
func New(c clock.PassiveClock, maxStarting int) *Ledger {
	return &Ledger{
		clock:         c,
		waits:         newWaits(),
		countsChanged: func(types.NamespacedName) {},
		processes:     map[types.NamespacedName]*process{},
		types:         map[types.NamespacedName]*processType{},
		window:        newWindow(maxStarting),
		starting:      map[*process]struct{}{},
	}
}

// OnCountsChanged sets the function that is called with a type whose Counts may
// have changed. It must not block and must not call the ledger.
func (l *Ledger) OnCountsChanged(f func(processType types.NamespacedName)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.countsChanged = f
}

// Open lets the ledger admit Processes. Call it when everything that the
// informers' caches contained at the start is recorded: a Process must not be
// admitted while an older one, or a Job that uses a slot, is still missing.
func (l *Ledger) Open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	l.admit()
	for _, t := range l.types {
		l.countsChanged(t.key)
	}
}

// Observe records a Process as it is now. hasJob reports whether a Job of this
// Process exists. It returns the Processes that were admitted because of it.
func (l *Ledger) Observe(p *v1alpha1.Process, hasJob bool) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := client.ObjectKeyFromObject(p)
	var keys []types.NamespacedName
	r := l.processes[key]
	if r != nil && (r.uid != p.UID || p.DeletionTimestamp != nil) {
		keys = l.remove(r)
		r = nil
	}
	if p.DeletionTimestamp != nil {
		return keys
	}
	if r == nil {
		r = &process{key: key, uid: p.UID, created: p.CreationTimestamp.Time, processType: l.record(typeKey(p))}
		l.processes[key] = r
	}
	// The collector writes startTime when the agent asks for its input. It keeps it during
	// a retry, whose pod the Job controller creates: a retry does not count as starting.
	if !p.Status.StartTime.IsZero() {
		l.started(r, !p.Finished())
	}
	switch {
	case p.Finished():
		l.move(r, terminal)
	case hasJob:
		l.move(r, running)
	case r.state == unknown:
		l.move(r, waiting)
	}
	return append(keys, l.admit()...)
}

// Forget records that a Process was deleted. It returns the Processes that were
// admitted because of it.
func (l *Ledger) Forget(key types.NamespacedName, uid types.UID) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.processes[key]; r != nil && r.uid == uid {
		return l.remove(r)
	}
	return nil
}

// ObserveJob records whether the Process with this UID has a Job, and whether the Job is
// suspended. A Process that has a Job has a slot, even above maxConcurrent: an earlier
// leader admitted it. It keeps the slot if the Job is deleted. A suspended Job does not
// start, and does not count as starting later: somebody else decides when it is resumed.
// It returns the Processes that were admitted because of it.
func (l *Ledger) ObserveJob(key types.NamespacedName, uid types.UID, exists, suspended bool) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.processes[key]
	switch {
	case r == nil || r.uid != uid || r.state == terminal:
		return nil
	case exists:
		if suspended {
			l.leaveWindow(r)
			r.started = true
		}
		l.move(r, running)
	case r.state == running:
		l.move(r, admitted)
	}
	return l.admit()
}

// Register records a type with its maxConcurrent, 0 if it has none. It returns
// the Processes that were admitted because of it.
func (l *Ledger) Register(key types.NamespacedName, maxConcurrent int) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.record(key)
	if !t.registered {
		l.countsChanged(key)
		l.turns = append(l.turns, t)
	}
	t.registered, t.maxConcurrent, t.deletedAt = true, maxConcurrent, time.Time{}
	return l.admit()
}

// Unregister records that a type was deleted: its Processes are not admitted any
// more. It returns those without a Job, which cannot be launched now.
func (l *Ledger) Unregister(key types.NamespacedName) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.record(key)
	t.registered, t.deletedAt = false, l.clock.Now()
	l.turns = slices.DeleteFunc(l.turns, func(other *processType) bool { return other == t })
	l.waits.DeleteLabelValues(key.Namespace, key.Name)
	l.dropIfUnused(t)
	return t.unlaunched()
}

// Unlaunched returns the Processes of a type that have no Job and are not
// terminal. A change of the type can concern only these.
func (l *Ledger) Unlaunched(key types.NamespacedName) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.types[key]; t != nil {
		return t.unlaunched()
	}
	return nil
}

func (t *processType) unlaunched() []types.NamespacedName {
	keys := make([]types.NamespacedName, 0, t.count[waiting]+t.count[admitted])
	for p := range t.admitted {
		keys = append(keys, p.key)
	}
	t.queue.Ascend(func(p *process) bool {
		keys = append(keys, p.key)
		return true
	})
	return keys
}

// Admitted reports whether the Process with this UID has a slot and can be launched.
func (l *Ledger) Admitted(key types.NamespacedName, uid types.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.processes[key]
	return r != nil && r.uid == uid && r.hasSlot()
}

// WithoutTypeSince returns the time since which p has no ProcessType, if it has
// none now: its own creation, or the deletion of the type if that was later.
func (l *Ledger) WithoutTypeSince(p *v1alpha1.Process) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := p.CreationTimestamp.Time
	if t := l.types[typeKey(p)]; t != nil && t.deletedAt.After(since) {
		return t.deletedAt
	}
	return since
}

// Counts are how many Processes a type has: without a Job, with a Job, and
// terminal.
type Counts struct{ Queued, Running, Finished int32 }

// Counts returns the counts of a type; ok is false as long as the ledger is not
// open, because they are incomplete then.
func (l *Ledger) Counts(key types.NamespacedName) (c Counts, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.types[key]; t != nil {
		c = t.counts()
	}
	return c, l.open
}

func (t *processType) counts() Counts {
	return Counts{
		Queued:   int32(t.count[waiting] + t.count[admitted]),
		Running:  int32(t.count[running]),
		Finished: int32(t.count[terminal]),
	}
}

// admit gives free slots to waiting Processes while the window has places, and returns
// these Processes. The types take turns: one Process of each, its oldest. A type that has
// nothing to admit is skipped. An admission takes O(types), and nothing if the window is full.
func (l *Ledger) admit() []types.NamespacedName {
	var keys []types.NamespacedName
	for l.open && l.window.open(len(l.starting)) {
		i := slices.IndexFunc(l.turns, l.admits)
		if i < 0 {
			break
		}
		t := l.turns[i]
		l.turns = append(slices.Delete(l.turns, i, i+1), t)
		p, _ := t.queue.Min()
		l.move(p, admitted)
		p.measured = true
		l.waits.WithLabelValues(t.key.Namespace, t.key.Name).Observe(max(l.clock.Since(p.created), 0).Seconds())
		keys = append(keys, p.key)
	}
	return keys
}

// admits reports whether a type has a Process to admit, and may.
func (l *Ledger) admits(t *processType) bool {
	return t.queue.Len() > 0 && t.hasFreeSlot() && (l.window.max == 0 || t.mayStart())
}

// move changes the state of a Process. It is O(log n).
func (l *Ledger) move(p *process, to state) {
	t, from := p.processType, p.state
	if from == to {
		return
	}
	t.count[from]--
	t.count[to]++
	p.state = to
	delete(t.admitted, p)
	switch hadSlot := from == admitted || from == running; {
	case p.hasSlot() && !hadSlot && !p.started:
		p.since, p.measured = l.clock.Now(), false
		if t.starting+t.stalled == 0 {
			t.progress = p.since
		}
		l.starting[p] = struct{}{}
		t.starting++
	case !p.hasSlot():
		l.leaveWindow(p)
	}
	switch {
	case from == waiting:
		t.queue.Delete(p)
	case to == waiting:
		t.queue.ReplaceOrInsert(p)
	}
	if to == admitted {
		t.admitted[p] = struct{}{}
	}
	l.countsChanged(t.key)
}

// remove deletes the record of a Process, and returns the Processes that were
// admitted because of it.
func (l *Ledger) remove(p *process) []types.NamespacedName {
	l.move(p, unknown)
	delete(l.processes, p.key)
	keys := l.admit()
	l.dropIfUnused(p.processType)
	return keys
}

func typeKey(p *v1alpha1.Process) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Spec.Type}
}

// record returns the record of a type. It creates the record if there is none.
func (l *Ledger) record(key types.NamespacedName) *processType {
	t := l.types[key]
	if t == nil {
		t = &processType{key: key, queue: btree.NewG(32, oldestFirst), admitted: map[*process]struct{}{}, limit: firstTypeLimit}
		l.types[key] = t
	}
	return t
}

// dropIfUnused deletes the record of a type that does not exist and has no
// Processes.
func (l *Ledger) dropIfUnused(t *processType) {
	if !t.registered && t.count[waiting]+t.count[admitted]+t.count[running]+t.count[terminal] == 0 {
		delete(l.types, t.key)
	}
}
