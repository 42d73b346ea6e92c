// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package expiration

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// LeaseReconciler deletes expired Leases of idempotency keys. The cache contains no
// other Leases: it selects by v1alpha1.LabelIdempotencyKey.
type LeaseReconciler Reconciler

// SetupWithManager registers the controller.
func (r *LeaseReconciler) SetupWithManager(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).
		Named("idempotency-key-expiration").
		For(&coordinationv1.Lease{}).
		WithOptions((*Reconciler)(r).options()).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile deletes the Lease if it has expired. If it has not, it is reconciled
// again at its end.
func (r *LeaseReconciler) Reconcile(ctx context.Context, lease *coordinationv1.Lease) (reconcile.Result, error) {
	if lease.Spec.AcquireTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return reconcile.Result{}, nil // the facade did not create it
	}
	end := lease.Spec.AcquireTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
	// With the resourceVersion, the deletion fails if the facade has just renewed the
	// Lease for another process with the same key.
	return (*Reconciler)(r).deleteAt(ctx, end, lease, client.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion})
}
