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
	"procman.dev/procman/controllers/internal/statuspatch"
	"procman.dev/procman/controllers/internal/truncate"
)

// launched returns the condition Launched of a Process, nil if it has none.
func launched(p *v1alpha1.Process) *metav1.Condition {
	return meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched)
}

const (
	// queuedDelay is how long after its creation a Process that waits for a slot gets the
	// condition Launched. A Process that is admitted earlier needs no write. Creation
	// times have whole seconds, so the Process has waited for one to two seconds.
	queuedDelay = 2 * time.Second
	// startDelay is how long after the creation of the Job this controller removes the
	// condition, if the collector has not removed it when the attempt started.
	startDelay = 10 * time.Second
)

// markQueued writes to the status of a Process that it waits for a slot. No other write
// follows while the Process waits.
func (r *Reconciler) markQueued(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	if launched(p) != nil {
		return reconcile.Result{}, nil
	}
	if wait := p.CreationTimestamp.Add(queuedDelay).Sub(r.Clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	err := r.patchConditions(ctx, p, append(slices.Clone(p.Status.Conditions), metav1.Condition{
		Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonQueued,
		Message:            "the process waits for its turn: maxConcurrent of its type is reached, or enough processes are starting",
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
		meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionLaunched) // its transition time must not be kept
	}
	if !meta.SetStatusCondition(&conditions, metav1.Condition{
		Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRefused,
		Message:            truncate.Bytes(message, 1024),
		LastTransitionTime: metav1.NewTime(r.Clock.Now()),
	}) {
		return nil
	}
	if err := r.patchConditions(ctx, p, conditions); err != nil {
		return fmt.Errorf("mark process as refused: %w", err)
	}
	return nil
}

// markLaunched removes the condition of a Process that has its Job. again is the time
// after which it has to be called again; 0 means never.
//
// The reason Refused is removed immediately: if the Job is deleted and the next one is
// refused, startTimeoutSeconds counts from that refusal. The reason Queued is normally
// removed by the collector, in the same write as the start time. It is removed here
// only if the attempt has not started after startDelay.
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
