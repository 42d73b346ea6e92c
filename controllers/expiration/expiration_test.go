// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package expiration

import (
	"context"
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// world is a fake cluster with one object. It records the preconditions of deletions,
// and answers them with an error if one is set.
type world struct {
	client.Client
	clock         clock.PassiveClock
	preconditions []metav1.Preconditions
}

func newWorld(t *testing.T, o client.Object, after time.Duration, answer error) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), coordinationv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &world{clock: clocktesting.NewFakePassiveClock(start.Add(after))}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(o).WithInterceptorFuncs(interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.DeleteOption) error {
			var deletion client.DeleteOptions
			deletion.ApplyOptions(options)
			w.preconditions = append(w.preconditions, *deletion.Preconditions)
			if answer != nil {
				return answer
			}
			return c.Delete(ctx, o, options...)
		},
	}).Build()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
	return w
}

// check asserts when the object is reconciled again, and whether it is deleted with
// the preconditions.
func (w *world) check(t *testing.T, o client.Object, result reconcile.Result, err error, again time.Duration, deleted *metav1.Preconditions) {
	t.Helper()
	if err != nil || result.RequeueAfter != again {
		t.Errorf("again in %s, error %v, want %s", result.RequeueAfter, err, again)
	}
	gone := apierrors.IsNotFound(w.Get(t.Context(), client.ObjectKeyFromObject(o), o))
	switch {
	case deleted == nil && (gone || len(w.preconditions) > 0):
		t.Errorf("it is deleted with %v", w.preconditions)
	case deleted != nil && (len(w.preconditions) != 1 || !gone):
		t.Errorf("it is deleted: %t, with %v", gone, w.preconditions)
	case deleted != nil:
		got := w.preconditions[0]
		if *got.UID != *deleted.UID || (got.ResourceVersion == nil) != (deleted.ResourceVersion == nil) {
			t.Errorf("it is deleted with %+v, want %+v", got, *deleted)
		}
	}
}

func TestProcess(t *testing.T) {
	for name, test := range map[string]struct {
		after, again time.Duration
		deleted      bool
	}{
		"new":            {0, time.Minute, false},
		"almost expired": {time.Minute - time.Millisecond, time.Millisecond, false},
		"expired":        {time.Minute, 0, true},
		"long expired":   {time.Hour, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.Process{
				ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "p", UID: "process", CreationTimestamp: metav1.NewTime(start)},
				Spec:       v1alpha1.ProcessSpec{LifetimeSeconds: 60},
			}
			w := newWorld(t, p, test.after, nil)
			result, err := (&Reconciler{Client: w, Clock: w.clock}).Reconcile(t.Context(), p)
			var deleted *metav1.Preconditions
			if test.deleted {
				deleted = &metav1.Preconditions{UID: &p.UID}
			}
			w.check(t, p, result, err, test.again, deleted)
		})
	}
}

func TestLease(t *testing.T) {
	acquired := new(metav1.NewMicroTime(start))
	for name, test := range map[string]struct {
		spec         coordinationv1.LeaseSpec
		after, again time.Duration
		deleted      bool
	}{
		"new":                       {coordinationv1.LeaseSpec{AcquireTime: acquired, LeaseDurationSeconds: new(int32(60))}, 0, time.Minute, false},
		"almost expired":            {coordinationv1.LeaseSpec{AcquireTime: acquired, LeaseDurationSeconds: new(int32(60))}, time.Minute - time.Millisecond, time.Millisecond, false},
		"expired":                   {coordinationv1.LeaseSpec{AcquireTime: acquired, LeaseDurationSeconds: new(int32(60))}, time.Minute, 0, true},
		"no duration":               {coordinationv1.LeaseSpec{AcquireTime: acquired}, time.Hour, 0, false},
		"never acquired by anybody": {coordinationv1.LeaseSpec{LeaseDurationSeconds: new(int32(60))}, time.Hour, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "key", UID: "lease"}, Spec: test.spec}
			w := newWorld(t, lease, test.after, nil)
			result, err := (&LeaseReconciler{Client: w, Clock: w.clock}).Reconcile(t.Context(), lease)
			var deleted *metav1.Preconditions
			if test.deleted { // not if the facade has renewed it
				deleted = &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion}
			}
			w.check(t, lease, result, err, test.again, deleted)
		})
	}
}

// What was deleted or replaced needs no deletion; any other error is tried again.
func TestErrorsOfADeletion(t *testing.T) {
	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	for name, test := range map[string]struct {
		answer error
		fails  bool
	}{
		"deleted already":     {apierrors.NewNotFound(leases, "key"), false},
		"renewed or replaced": {apierrors.NewConflict(leases, "key", errors.New("precondition failed")), false},
		"no answer":           {errors.New("connection refused"), true},
	} {
		t.Run(name, func(t *testing.T) {
			lease := &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "key", UID: "lease"},
				Spec:       coordinationv1.LeaseSpec{AcquireTime: new(metav1.NewMicroTime(start)), LeaseDurationSeconds: new(int32(1))},
			}
			w := newWorld(t, lease, time.Hour, test.answer)
			if _, err := (&LeaseReconciler{Client: w, Clock: w.clock}).Reconcile(t.Context(), lease); (err != nil) != test.fails {
				t.Errorf("the lease: %v", err)
			}
			p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "p", UID: "process", CreationTimestamp: metav1.NewTime(start)}, Spec: v1alpha1.ProcessSpec{LifetimeSeconds: 1}}
			w = newWorld(t, p, time.Hour, test.answer)
			if _, err := (&Reconciler{Client: w, Clock: w.clock}).Reconcile(t.Context(), p); (err != nil) != test.fails {
				t.Errorf("the process: %v", err)
			}
			if len(w.preconditions) != 1 {
				t.Errorf("%d deletions, want one", len(w.preconditions))
			}
		})
	}
}
