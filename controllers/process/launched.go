// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/prose"
	"procman.dev/procman/controllers/internal/statuspatch"
)

// launched returns the condition Launched of a Process, nil if it has none.
func launched(p *v1alpha1.Process) *metav1.Condition {
	return meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched)
}

const (
	// queuedDelay is how long after its creation a Process that waits for a slot gets the
	// condition. One that is admitted earlier costs no write. Creation times have whole
	// seconds, so that the Process has waited for one to two seconds.
	queuedDelay = 2 * time.Second
	// startDelay is how long after the creation of the Job the condition is removed, if
	// the collector has not removed it together with the start of the attempt.
	startDelay = 10 * time.Second
)

// markQueued writes to the status of a Process that it waits for a slot. It is the only
// write for a Process that waits, however long that takes and however often the queue
// moves.
func (r *Reconciler) markQueued(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	if launched(p) != nil {
		return reconcile.Result{}, nil
	}
	if wait := p.CreationTimestamp.Add(queuedDelay).Sub(r.Clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	err := r.patchConditions(ctx, p, append(slices.Clone(p.Status.Conditions), metav1.Condition{
		Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonQueued,
		Message:            "the process waits for a slot: as many processes of its type run as maxConcurrent of the type allows",
		LastTransitionTime: p.CreationTimestamp,
	}))
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("mark process as queued: %w", err)
	}
	return reconcile.Result{}, nil
}

// markRefused writes to the status of a Process why it has no Job: the latest
// message of the cluster, and the time of the first refusal.
func (r *Reconciler) markRefused(ctx context.Context, p *v1alpha1.Process, message string) error {
	conditions := slices.Clone(p.Status.Conditions)
	if c := launched(p); c != nil && c.Reason != v1alpha1.ReasonRefused {
		meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionLaunched) // so that its time is not kept
	}
	if !meta.SetStatusCondition(&conditions, metav1.Condition{
		Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRefused,
		Message:            prose.Cut(message, 1024),
		LastTransitionTime: metav1.NewTime(r.Clock.Now()),
	}) {
		return nil
	}
	if err := r.patchConditions(ctx, p, conditions); err != nil {
		return fmt.Errorf("mark process as refused: %w", err)
	}
	return nil
}

// markLaunched removes the condition once the Process has its Job. It returns after
// which time it has to be called again; 0 if it has not.
//
// A refusal is removed at once: if the Job is deleted and the next one is refused,
// startTimeoutSeconds counts from that refusal. That the Process was queued is removed
// by the collector, in the write of the start time. Only if that takes long, it is
// removed here.
func (r *Reconciler) markLaunched(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job) (again time.Duration, err error) {
	c := launched(p)
	if c == nil {
		return 0, nil
	}
	if c.Reason == v1alpha1.ReasonQueued {
		if wait := job.CreationTimestamp.Add(startDelay).Sub(r.Clock.Now()); wait > 0 {
			return wait, nil
		}
	}
	conditions := slices.Clone(p.Status.Conditions)
	meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionLaunched)
	if err := r.patchConditions(ctx, p, conditions); err != nil {
		return 0, fmt.Errorf("mark process as launched: %w", err)
	}
	return 0, nil
}

// patchConditions replaces the conditions of a Process. It does nothing if the
// Process was deleted.
func (r *Reconciler) patchConditions(ctx context.Context, p *v1alpha1.Process, conditions []metav1.Condition) error {
	if len(conditions) == 0 {
		conditions = nil // null: the schema does not allow an empty list
	}
	return client.IgnoreNotFound(statuspatch.ApplyLocked(ctx, r.Client, p, map[string]any{"conditions": conditions}))
}
