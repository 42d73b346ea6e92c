// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/ledger"
)

func TestOwnStatusWrite(t *testing.T) {
	plain := func() *v1alpha1.Process {
		return &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{UID: "it"}, Status: v1alpha1.ProcessStatus{State: v1alpha1.StateProcessing}}
	}
	without := func(message string) *v1alpha1.Process { // a Job
		p := plain()
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Message: message}}
		return p
	}
	inError := func(p *v1alpha1.Process) { p.Status.State = v1alpha1.StateError }
	changed := func(p *v1alpha1.Process, change func(*v1alpha1.Process)) *v1alpha1.Process {
		change(p)
		return p
	}
	for name, test := range map[string]struct {
		before, after *v1alpha1.Process
		want          bool
	}{
		"queued":                        {plain(), without("it waits"), true},
		"started":                       {without("it waits"), plain(), true},
		"refused a Job":                 {plain(), without("no"), true},
		"refused with another message":  {without("no"), without("not yet"), true},
		"refused with the same message": {without("no"), without("no"), false},
		"refused for too long":          {without("no"), changed(plain(), inError), false},
		"nothing":                       {plain(), plain(), false},
		"deleted":                       {without("no"), changed(plain(), func(p *v1alpha1.Process) { p.DeletionTimestamp = new(metav1.Now()) }), false},
		"another with that name":        {without("no"), changed(plain(), func(p *v1alpha1.Process) { p.UID = "another" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ownStatusWrite(test.before, test.after); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

// waitingSource is a source whose WaitForSync returns what the test sends.
type waitingSource struct {
	started bool
	synced  chan error
}

func (s *waitingSource) Start(context.Context, requests) error { s.started = true; return nil }

func (s *waitingSource) WaitForSync(context.Context) error { return <-s.synced }

func TestLedgerIsOpenedWhenAllSourcesHaveSynced(t *testing.T) {
	for name, test := range map[string]struct {
		second error
		open   bool
	}{
		"all have synced":     {nil, true},
		"one has not synced":  {errors.New("timed out"), false},
		"one was interrupted": {context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledger.New(clock.RealClock{}, 0)
			first, second := &waitingSource{synced: make(chan error, 1)}, &waitingSource{synced: make(chan error, 1)}
			s := &ledgerSource{ledger: l, sources: []source.SyncingSource{first, second}}
			if err := s.Start(t.Context(), nil); err != nil || !first.started || !second.started {
				t.Errorf("not all sources are started: %v", err)
			}
			isOpen := func() bool { _, open := l.Counts(types.NamespacedName{}); return open }
			first.synced <- nil
			if isOpen() {
				t.Error("it is open before the sources have synced")
			}
			second.synced <- test.second
			if err := s.WaitForSync(t.Context()); !errors.Is(err, test.second) || isOpen() != test.open {
				t.Errorf("open: %t, error %v", isOpen(), err)
			}
		})
	}
}

// Each event requests the Processes that it concerns, each of them once, and no others.
func TestEventsRequestReconciliations(t *testing.T) {
	r, _ := world(t, interceptor.Funcs{})
	r.Ledger = ledger.New(clock.RealClock{}, 0)
	r.Ledger.Open()
	process := func(name string, change func(*v1alpha1.Process)) *v1alpha1.Process {
		p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: name, UID: types.UID(name)}, Spec: v1alpha1.ProcessSpec{Type: "t"}}
		if change != nil {
			change(p)
		}
		return p
	}
	processType := func(generation, maxConcurrent int, conditions ...metav1.Condition) *v1alpha1.ProcessType {
		return &v1alpha1.ProcessType{
			ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "t", Generation: int64(generation)},
			Spec:       v1alpha1.ProcessTypeSpec{MaxConcurrent: int32(maxConcurrent)}, Status: v1alpha1.ProcessTypeStatus{Conditions: conditions},
		}
	}
	job := func(name string) *batchv1.Job {
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: name, OwnerReferences: []metav1.OwnerReference{{Kind: "Process", Name: name, UID: types.UID(name), Controller: new(true)}}}}
	}
	queued := func(p *v1alpha1.Process) {
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonQueued, Message: "it waits"}}
	}
	progress := func(p *v1alpha1.Process) { p.Status.PercentComplete = new(int32(5)) }
	complete := func(p *v1alpha1.Process) { p.Status.State = v1alpha1.StateComplete }
	processes, processTypes, jobs := r.processEvents(), r.typeEvents(), r.jobEvents()
	for _, step := range []struct {
		what string
		do   func(context.Context, requests)
		want []string
	}{
		{"a process is created before its type", func(ctx context.Context, q requests) {
			processes.Create(ctx, event.TypedCreateEvent[*v1alpha1.Process]{Object: process("a", nil)}, q)
		}, []string{"a"}},
		{"its type is created", func(ctx context.Context, q requests) {
			processTypes.Create(ctx, event.TypedCreateEvent[*v1alpha1.ProcessType]{Object: processType(1, 1)}, q)
		}, []string{"a"}},
		{"its Job is created", func(ctx context.Context, q requests) {
			jobs.Create(ctx, event.TypedCreateEvent[*batchv1.Job]{Object: job("a")}, q)
		}, nil},
		{"two more are created", func(ctx context.Context, q requests) {
			processes.Create(ctx, event.TypedCreateEvent[*v1alpha1.Process]{Object: process("b", nil)}, q)
			processes.Create(ctx, event.TypedCreateEvent[*v1alpha1.Process]{Object: process("c", nil)}, q)
		}, []string{"b", "c"}},
		{"the operator writes that it waits", func(ctx context.Context, q requests) {
			processes.Update(ctx, event.TypedUpdateEvent[*v1alpha1.Process]{ObjectOld: process("b", nil), ObjectNew: process("b", queued)}, q)
		}, nil},
		{"progress is reported", func(ctx context.Context, q requests) {
			processes.Update(ctx, event.TypedUpdateEvent[*v1alpha1.Process]{ObjectOld: process("a", nil), ObjectNew: process("a", progress)}, q)
		}, []string{"a"}},
		{"the status of the type has other counts", func(ctx context.Context, q requests) {
			counted := processType(1, 1)
			counted.Status.Queued = new(int32(2))
			processTypes.Update(ctx, event.TypedUpdateEvent[*v1alpha1.ProcessType]{ObjectOld: processType(1, 1), ObjectNew: counted}, q)
		}, nil},
		{"a condition of the type changes", func(ctx context.Context, q requests) {
			accepted := processType(1, 1, metav1.Condition{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue})
			processTypes.Update(ctx, event.TypedUpdateEvent[*v1alpha1.ProcessType]{ObjectOld: processType(1, 1), ObjectNew: accepted}, q)
		}, []string{"b", "c"}},
		{"the first one is complete", func(ctx context.Context, q requests) {
			processes.Update(ctx, event.TypedUpdateEvent[*v1alpha1.Process]{ObjectOld: process("a", nil), ObjectNew: process("a", complete)}, q)
		}, []string{"a", "b"}},
		{"the second one is deleted", func(ctx context.Context, q requests) {
			processes.Delete(ctx, event.TypedDeleteEvent[*v1alpha1.Process]{Object: process("b", nil)}, q)
		}, []string{"c"}},
		{"its type is deleted", func(ctx context.Context, q requests) {
			processTypes.Delete(ctx, event.TypedDeleteEvent[*v1alpha1.ProcessType]{Object: processType(1, 1)}, q)
		}, []string{"c"}},
	} {
		q := &recordingQueue{}
		step.do(t.Context(), q)
		slices.Sort(q.names)
		if diff := cmp.Diff(step.want, q.names); diff != "" {
			t.Errorf("%s: %s", step.what, diff)
		}
	}
}

// recordingQueue records each request, also one that it has already.
type recordingQueue struct {
	requests
	names []string
}

func (q *recordingQueue) Add(r reconcile.Request) { q.names = append(q.names, r.Name) }
