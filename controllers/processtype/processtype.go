// Package processtype looks at each registration of a worker image and says in
// its status whether processes of the type can be started.
package processtype

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
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

// Setup registers the controller. A change of one type may give or take the
// aliases of others, so all are looked at.
func (r *Reconciler) Setup(mgr manager.Manager) error {
	toAll := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		var all v1alpha1.ProcessTypeList
		if err := r.Client.List(ctx, &all, client.InNamespace(o.GetNamespace())); err != nil {
			logf.FromContext(ctx).Error(err, "list process types")
			return nil
		}
		requests := make([]reconcile.Request, len(all.Items))
		for i := range all.Items {
			requests[i].NamespacedName = client.ObjectKeyFromObject(&all.Items[i])
		}
		return requests
	})
	return builder.ControllerManagedBy(mgr).
		Named("processtype").
		For(&v1alpha1.ProcessType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.ProcessType{}, toAll, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes the condition when it is not what it should be.
func (r *Reconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	var all v1alpha1.ProcessTypeList
	if err := r.Client.List(ctx, &all, client.InNamespace(t.Namespace)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list process types: %w", err)
	}
	accepted := judge(t, all.Items)
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

// judge says whether a type can be used as it stands, among all types.
func judge(t *v1alpha1.ProcessType, all []v1alpha1.ProcessType) metav1.Condition {
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
			return accepted
		}
	}
	if lost := aliasesOfOthers(t, all); len(lost) > 0 {
		accepted.Reason = v1alpha1.ReasonAliasTaken
		accepted.Message = "processes of this type can be started, but not by every alias: " + strings.Join(lost, ", ")
	}
	return accepted
}

// aliasesOfOthers says which of a type's aliases are another's: a type's name
// goes before aliases, and the older type before the younger. The facade resolves
// names by the same rule.
func aliasesOfOthers(t *v1alpha1.ProcessType, all []v1alpha1.ProcessType) []string {
	var lost []string
	for _, alias := range t.Spec.Aliases {
		for i := range all {
			other := &all[i]
			if other.Name == t.Name {
				continue
			}
			older := cmp.Or(other.CreationTimestamp.Compare(t.CreationTimestamp.Time), cmp.Compare(other.Name, t.Name)) < 0
			if other.Name == alias || older && slices.Contains(other.Spec.Aliases, alias) {
				lost = append(lost, fmt.Sprintf("%q is %s's", alias, other.Name))
				break
			}
		}
	}
	return lost
}
