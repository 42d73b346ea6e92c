// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expiration deletes Processes that have expired, terminal or not, and the
// Leases of idempotency keys that have expired. The garbage collector of Kubernetes
// deletes the Jobs and pods of a deleted Process.
package expiration

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
)

// Reconciler deletes expired Processes.
type Reconciler struct {
	Client client.Client
	Clock  clock.PassiveClock
	// Concurrency is how many objects are deleted at the same time.
	Concurrency int
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	// Lifetime and creation time never change: one event per Process is enough.
	onlyCreation := predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
	return builder.ControllerManagedBy(mgr).
		Named("expiration").
		For(&v1alpha1.Process{}, builder.WithPredicates(onlyCreation)).
		WithOptions(r.options()).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

func (r *Reconciler) options() controller.Options {
	return controller.Options{MaxConcurrentReconciles: r.Concurrency, ReconciliationTimeout: time.Minute}
}

// Reconcile deletes the Process if it has expired. If it has not, it is reconciled
// again at its expiration time.
func (r *Reconciler) Reconcile(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	if p.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	// With the UID, the deletion fails if p was replaced by a Process with the same name.
	return r.deleteAt(ctx, p.ExpirationTime(), p, client.Preconditions{UID: &p.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
}

// deleteAt deletes an object if the time at has come. Otherwise it requests another
// reconciliation at that time. The options contain the preconditions of the deletion.
func (r *Reconciler) deleteAt(ctx context.Context, at time.Time, o client.Object, options ...client.DeleteOption) (reconcile.Result, error) {
	if wait := at.Sub(r.Clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	err := client.IgnoreNotFound(r.Client.Delete(ctx, o, options...))
	if err != nil && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("delete expired object: %w", err)
	}
	return reconcile.Result{}, nil
}
