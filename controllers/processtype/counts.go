// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/ledger"
	"procman.dev/procman/controllers/internal/statuspatch"
)

// countsDelay is how old the counts in the status can be: while Processes change,
// the counts of a type are written once in this time.
const countsDelay = 5 * time.Second

// CountReconciler writes status.queued, running and finished: how many Processes
// of a type there are.
type CountReconciler struct {
	Client client.Client
	Ledger *ledger.Ledger
}

// SetupWithManager registers the controller. The first change of a count requests
// a reconciliation after countsDelay. Later changes until then request the same
// one.
func (r *CountReconciler) SetupWithManager(mgr manager.Manager) error {
	changes := source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.Ledger.OnCountsChanged(func(t types.NamespacedName) {
			q.AddAfter(reconcile.Request{NamespacedName: t}, countsDelay)
		})
		return nil
	})
	return builder.ControllerManagedBy(mgr).
		Named("processtype-counts").
		For(&v1alpha1.ProcessType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(changes).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes the counts of one type if they have changed.
func (r *CountReconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	now, ok := r.Ledger.Counts(client.ObjectKeyFromObject(t))
	if !ok { // the ledger calls OnCountsChanged when it is open
		return reconcile.Result{}, nil
	}
	s := t.Status
	if equal(s.Queued, now.Queued) && equal(s.Running, now.Running) && equal(s.Finished, now.Finished) {
		return reconcile.Result{}, nil
	}
	err := statuspatch.Apply(ctx, r.Client, t, map[string]any{"queued": now.Queued, "running": now.Running, "finished": now.Finished})
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("patch counts of process type: %w", err)
	}
	return reconcile.Result{}, nil
}

func equal(written *int32, now int32) bool { return written != nil && *written == now }
