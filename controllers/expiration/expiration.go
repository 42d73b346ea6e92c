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
	// Concurrency is how many Processes are deleted at the same time.
	Concurrency int
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(_ context.Context, mgr manager.Manager) error {
	// Lifetime and creation time never change: one event per Process is enough.
	onlyCreation := predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
	return builder.ControllerManagedBy(mgr).
		Named("expiration").
		For(&v1alpha1.Process{}, builder.WithPredicates(onlyCreation)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.Concurrency,
			ReconciliationTimeout:   time.Minute,
		}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile deletes the Process if it has expired. If it has not, it is reconciled
// again at its expiration time.
func (r *Reconciler) Reconcile(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	if p.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if now := r.Clock.Now(); !p.Expired(now) {
		return reconcile.Result{RequeueAfter: p.ExpirationTime().Sub(now)}, nil
	}
	// The UID keeps a new Process with the same name from being deleted.
	err := r.Client.Delete(ctx, p, client.Preconditions{UID: &p.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("delete expired process: %w", err)
	}
	return reconcile.Result{}, nil
}
