// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/ledger"
)

// queue is a type with one slot, which another process has, and aProcess behind it.
type queue struct {
	*Reconciler
	patches int
	refuses error // the answer to the creation of a Job
	setTime func(seconds float64)
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	q := &queue{}
	p, pt := aProcess(), aType()
	p.Spec.LifetimeSeconds, pt.Spec.MaxConcurrent = 86400, 1
	r, now := world(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if q.refuses != nil {
				return q.refuses
			}
			o.SetCreationTimestamp(metav1.NewTime(q.Clock.Now()))
			return c.Create(ctx, o, options...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			q.patches++
			return c.SubResource(sub).Patch(ctx, o, patch, options...)
		},
	}, p, pt)
	q.Reconciler = r
	q.setTime = func(seconds float64) { now.SetTime(start.Add(time.Duration(seconds * float64(time.Second)))) }
	r.Ledger = ledger.New(now, 0)
	r.Ledger.Register(client.ObjectKeyFromObject(pt), 1)
	r.Ledger.Observe(first(), true)
	r.Ledger.Observe(aProcess(), false)
	r.Ledger.Open()
	return q
}

// first is the process that has the slot.
func first() *v1alpha1.Process {
	p := aProcess()
	p.Name, p.UID, p.CreationTimestamp = "first", "first", metav1.NewTime(start.Add(-time.Hour))
	return p
}

func (q *queue) freeSlot() { q.Ledger.Forget(client.ObjectKeyFromObject(first()), first().UID) }

// expect reconciles the process at a time, and compares the reason of its condition, the
// writes so far, and when it is reconciled again.
func (q *queue) expect(t *testing.T, seconds float64, reason string, patches int, again time.Duration) *metav1.Condition {
	t.Helper()
	q.setTime(seconds)
	p, after, err := reconcileIt(t, q.Reconciler)
	c, got := launched(p), ""
	if c != nil {
		got = c.Reason
	}
	if err != nil || got != reason || q.patches != patches || after != again {
		t.Errorf("after %g s the reason is %q after %d writes, again in %s, error %v; want %q, %d, %s", seconds, got, q.patches, after, err, reason, patches, again)
	}
	return c
}

// A process that waits costs one write, however long it waits.
func TestProcessThatWaits(t *testing.T) {
	q := newQueue(t)
	q.expect(t, 0, "", 0, 2*time.Second)
	q.expect(t, 1.5, "", 0, 500*time.Millisecond)
	c := q.expect(t, 2, v1alpha1.ReasonQueued, 1, 0)
	if c.Status != metav1.ConditionFalse || !c.LastTransitionTime.Time.Equal(start) || c.Message == "" {
		t.Errorf("the condition is %+v, want one that is False since the creation", c)
	}
	for hours := range 3 {
		q.expect(t, float64(3600*hours+3600), v1alpha1.ReasonQueued, 1, 0)
	}
	q.freeSlot()
	q.expect(t, 4*3600, v1alpha1.ReasonQueued, 1, 0) // the Job is created
	q.expect(t, 4*3600+1, v1alpha1.ReasonQueued, 1, 9*time.Second)
	// Its pod has not started ten seconds later.
	q.expect(t, 4*3600+10, "", 2, 50*time.Second)
	q.expect(t, 4*3600+11, "", 2, 49*time.Second)
}

func TestProcessThatDoesNotWait(t *testing.T) {
	q := newQueue(t)
	q.expect(t, 0, "", 0, 2*time.Second)
	q.freeSlot()
	q.expect(t, 1, "", 0, 0)
	q.expect(t, 20, "", 0, 41*time.Second)
	if err := q.Client.Get(t.Context(), client.ObjectKeyFromObject(aProcess()), &batchv1.Job{}); err != nil {
		t.Error(err)
	}
}

// startTimeoutSeconds, 60, counts from the first refusal, not from the begin of the wait.
func TestRefusalAfterTheQueue(t *testing.T) {
	q := newQueue(t)
	q.refuses = apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "p", errors.New("exceeded quota"))
	q.expect(t, 100, v1alpha1.ReasonQueued, 1, 0)
	q.freeSlot()
	if c := q.expect(t, 200, v1alpha1.ReasonRefused, 2, refusedRetry); !c.LastTransitionTime.Time.Equal(start.Add(200 * time.Second)) {
		t.Errorf("the condition is %+v, want one since the refusal", c)
	}
	q.expect(t, 259, v1alpha1.ReasonRefused, 2, refusedRetry)
	q.setTime(260)
	if p, _, err := reconcileIt(t, q.Reconciler); err != nil || p.Status.ErrorCode != "LaunchRefused" {
		t.Errorf("a minute after the refusal the status is %+v, error %v", p.Status, err)
	}
}
