// Package processtype looks at each registration of a worker image and says in
// its status whether processes of the type can be started.
package processtype

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
)

// Reconciler keeps the condition Accepted.
type Reconciler struct {
	Client client.Client
	Clock  clock.PassiveClock
}

// Setup registers the controller.
func (r *Reconciler) Setup(mgr manager.Manager) error {
	return builder.ControllerManagedBy(mgr).
		Named("processtype").
		For(&v1alpha1.ProcessType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes the condition when it is not what it should be.
func (r *Reconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	accepted := judge(t)
	before := t.DeepCopy()
	if !meta.SetStatusCondition(&t.Status.Conditions, accepted) {
		return reconcile.Result{}, nil
	}
	if err := r.Client.Status().Patch(ctx, t, client.MergeFrom(before)); err != nil {
		if err = client.IgnoreNotFound(err); err != nil {
			return reconcile.Result{}, fmt.Errorf("patch process type status: %w", err)
		}
	}
	return reconcile.Result{}, nil
}

// judge says whether a type can be used as it stands.
func judge(t *v1alpha1.ProcessType) metav1.Condition {
	accepted := metav1.Condition{
		Type:               v1alpha1.ConditionAccepted,
		ObservedGeneration: t.Generation,
		Status:             metav1.ConditionTrue,
		Reason:             v1alpha1.ReasonAccepted,
		Message:            "processes of this type can be started",
	}
	for _, s := range []struct {
		name   string
		schema *apiextensionsv1.JSON
	}{
		{"inputSchema", t.Spec.InputSchema},
		{"outputSchema", t.Spec.OutputSchema},
	} {
		if _, err := schema.Compile(s.schema); err != nil {
			accepted.Status, accepted.Reason = metav1.ConditionFalse, v1alpha1.ReasonInvalidSchema
			accepted.Message = "spec." + s.name + ": " + err.Error()
			break
		}
	}
	return accepted
}
