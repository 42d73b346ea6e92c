// Package expiration deletes Processes whose lifetime is over, finished or not.
// Their Jobs and pods are garbage collected with them.
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

// Reconciler deletes what has expired.
type Reconciler struct {
	Client client.Client
	Clock  clock.PassiveClock
}

// Setup registers the controller. concurrency is how many deletions go on at
// once.
func (r *Reconciler) Setup(mgr manager.Manager, concurrency int) error {
	// Neither lifetime nor creation ever changes: one look per Process will do.
	onlyCreation := predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
	return builder.ControllerManagedBy(mgr).
		Named("expiration").
		For(&v1alpha1.Process{}, builder.WithPredicates(onlyCreation)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrency,
			ReconciliationTimeout:   time.Minute,
		}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile deletes the Process once it has expired, and comes back then if it
// has not.
func (r *Reconciler) Reconcile(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	if p.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if now := r.Clock.Now(); !p.Expired(now) {
		return reconcile.Result{RequeueAfter: p.ExpirationTime().Sub(now)}, nil
	}
	// Another object that has taken the name has a lifetime of its own.
	err := r.Client.Delete(ctx, p, client.Preconditions{UID: &p.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("delete expired process: %w", err)
	}
	return reconcile.Result{}, nil
}
