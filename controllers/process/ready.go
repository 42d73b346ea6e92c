package process

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// readiness is what a type says to one of its Processes that is to be launched.
type readiness struct {
	// refusal is how the Process ends, as it cannot be launched.
	refusal *agentapi.Result
	// waits: for a change of the type, until a time if that is set.
	waits bool
	until time.Time
}

// ready says whether a Process can be launched with its type as it is at now.
//
// It waits for what the operator is about to find out about the type, which is
// a matter of seconds. For an image that the registry does not give, it waits as
// long as an attempt may take to start: from its creation on or, when it has been
// in line for long, from when the registry first said so.
func ready(p *v1alpha1.Process, t *v1alpha1.ProcessType, now time.Time) readiness {
	accepted := t.Verdict(v1alpha1.ConditionAccepted)
	switch {
	case accepted == nil:
		return readiness{waits: true}
	case accepted.Status != metav1.ConditionTrue:
		return readiness{refusal: new(notAccepted(t, accepted.Reason, accepted.Message))}
	case len(t.Spec.Command) > 0:
		return readiness{}
	}
	resolved := t.Verdict(v1alpha1.ConditionImageResolved)
	switch {
	case resolved == nil:
		return readiness{waits: true}
	case resolved.Status == metav1.ConditionTrue:
		return readiness{}
	}
	since := p.CreationTimestamp.Time
	if first := resolved.LastTransitionTime.Time; first.After(since) {
		since = first
	}
	until := since.Add(time.Duration(t.Spec.StartTimeoutSeconds) * time.Second)
	if now.Before(until) {
		return readiness{waits: true, until: until}
	}
	return readiness{refusal: new(agentapi.Failure(errorcode.ImagePullFailed, map[string]any{
		"image": t.Spec.Image, "reason": resolved.Reason, "message": resolved.Message,
	}))}
}

// byTypeUnderway indexes the Processes that are not finished by their type.
const byTypeUnderway = "underway/type"

// watchTypes wakes the Processes that may be waiting for a type when it, or what
// the operator says about it, changes. Their number is bounded by what is under
// way, and most are looked at in the caches alone.
func (r *Reconciler) watchTypes(ctx context.Context, mgr manager.Manager, b *builder.Builder) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.Process{}, byTypeUnderway, func(o client.Object) []string {
		if p, ok := o.(*v1alpha1.Process); ok && !p.Finished() {
			return []string{p.Spec.Type}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.Watches(&v1alpha1.ProcessType{}, handler.EnqueueRequestsFromMapFunc(r.underwayOf), builder.WithPredicates(predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*v1alpha1.ProcessType), e.ObjectNew.(*v1alpha1.ProcessType)
			return before.Generation != after.Generation || !equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions)
		},
	}))
	return nil
}

func (r *Reconciler) underwayOf(ctx context.Context, t client.Object) []reconcile.Request {
	var underway v1alpha1.ProcessList
	err := r.Client.List(ctx, &underway, client.InNamespace(t.GetNamespace()), client.MatchingFields{byTypeUnderway: t.GetName()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		logf.FromContext(ctx).Error(err, "list processes of a type")
		return nil
	}
	requests := make([]reconcile.Request, len(underway.Items))
	for i := range underway.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&underway.Items[i])
	}
	return requests
}

// notAccepted is what becomes of a Process of a type that cannot be used.
func notAccepted(t *v1alpha1.ProcessType, reason, message string) agentapi.Result {
	return agentapi.Failure(errorcode.TypeNotAccepted, map[string]any{
		"reason": reason, "message": "process type " + t.Name + " is not accepted: " + message,
	})
}
