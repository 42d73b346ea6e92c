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
}

// process is the record of one Process. It is kept until the Process is deleted, because
// terminal Processes are counted too.
type process struct {
	key         types.NamespacedName
	uid         types.UID
	created     time.Time
	processType *processType
	state       state
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

// New returns an empty ledger. It admits no Process until Open is called.
func New(c clock.PassiveClock) *Ledger {
	return &Ledger{
		clock:         c,
		waits:         newWaits(),
		countsChanged: func(types.NamespacedName) {},
		processes:     map[types.NamespacedName]*process{},
		types:         map[types.NamespacedName]*processType{},
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
	for _, t := range l.types {
		l.admit(t)
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
	switch {
	case p.Finished():
		l.move(r, terminal)
	case hasJob:
		l.move(r, running)
	case r.state == unknown:
		l.move(r, waiting)
	}
	return append(keys, l.admit(r.processType)...)
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

// ObserveJob records whether the Process with this UID has a Job. A Process that has a
// Job has a slot, even above maxConcurrent: an earlier leader admitted it. It keeps the
// slot if the Job is deleted.
func (l *Ledger) ObserveJob(key types.NamespacedName, uid types.UID, exists bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.processes[key]
	switch {
	case r == nil || r.uid != uid || r.state == terminal:
		return
	case exists:
		l.move(r, running)
	case r.state == running:
		l.move(r, admitted)
	}
}

// Register records a type with its maxConcurrent, 0 if it has none. It returns
// the Processes that were admitted because of it.
func (l *Ledger) Register(key types.NamespacedName, maxConcurrent int) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.record(key)
	if !t.registered {
		l.countsChanged(key)
	}
	t.registered, t.maxConcurrent, t.deletedAt = true, maxConcurrent, time.Time{}
	return l.admit(t)
}

// Unregister records that a type was deleted: its Processes are not admitted any
// more. It returns those without a Job, which cannot be launched now.
func (l *Ledger) Unregister(key types.NamespacedName) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.record(key)
	t.registered, t.deletedAt = false, l.clock.Now()
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

// admit gives the free slots of a type to the first Processes in its queue, and
// returns these.
func (l *Ledger) admit(t *processType) []types.NamespacedName {
	var keys []types.NamespacedName
	for l.open && t.registered && t.queue.Len() > 0 && t.hasFreeSlot() {
		p, _ := t.queue.Min()
		l.move(p, admitted)
		l.waits.WithLabelValues(t.key.Namespace, t.key.Name).Observe(max(l.clock.Since(p.created), 0).Seconds())
		keys = append(keys, p.key)
	}
	return keys
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
	keys := l.admit(p.processType)
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
		t = &processType{key: key, queue: btree.NewG(32, oldestFirst), admitted: map[*process]struct{}{}}
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
