package expiration

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// LeaseReconciler deletes the Leases of idempotency keys that have run out. The
// cache holds no others (v1alpha1.LabelIdempotencyKey).
type LeaseReconciler struct {
	Client client.Client
	Clock  clock.PassiveClock
}

// Setup registers the controller. concurrency is how many deletions go on at
// once.
func (r *LeaseReconciler) Setup(mgr manager.Manager, concurrency int) error {
	return builder.ControllerManagedBy(mgr).
		Named("idempotency-key-expiration").
		For(&coordinationv1.Lease{}).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrency,
			ReconciliationTimeout:   time.Minute,
		}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile deletes the Lease once it has run out, and comes back then if it has
// not.
func (r *LeaseReconciler) Reconcile(ctx context.Context, lease *coordinationv1.Lease) (reconcile.Result, error) {
	if lease.Spec.AcquireTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return reconcile.Result{}, nil // not made by the facade
	}
	end := lease.Spec.AcquireTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
	if left := end.Sub(r.Clock.Now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	// The key may have been taken for another process a moment ago.
	err := r.Client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion})
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("delete lease of an idempotency key: %w", err)
	}
	return reconcile.Result{}, nil
}
