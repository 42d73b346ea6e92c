package process

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/queue"
)

type requests = workqueue.TypedRateLimitingInterface[reconcile.Request]

// processEvents tells the queue of each Process before asking for it to be
// reconciled, so that Reconcile finds it in its place; and asks for those whose
// turn an event makes it. Nobody else in line is woken.
func (r *Reconciler) processEvents() handler.EventHandler {
	var itself handler.EnqueueRequestForObject
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, todo requests) {
			r.take(ctx, e.Object, todo)
			itself.Create(ctx, e, todo)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, todo requests) {
			r.take(ctx, e.ObjectNew, todo)
			if !onlyTold(e.ObjectOld, e.ObjectNew) {
				itself.Update(ctx, e, todo)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, todo requests) {
			wake(todo, e.Object, r.Queue.Forget(e.Object.GetName(), e.Object.GetUID()))
		},
	}
}

// take tells the queue how a Process is.
func (r *Reconciler) take(ctx context.Context, o client.Object, todo requests) {
	p, ok := o.(*v1alpha1.Process)
	if !ok {
		return
	}
	over := p.Finished() || p.DeletionTimestamp != nil
	wake(todo, p, r.Queue.Observe(queue.Process{
		Name: p.Name, UID: p.UID, Type: p.Spec.Type, Created: p.CreationTimestamp.Time,
		Position: p.Status.QueuePosition, Launched: !over && r.launched(ctx, p), Over: over,
	}))
}

// onlyTold says whether an update is the place in line or the refusal of its Job
// that we have written: nothing to act on. A Job that is refused in ever new words
// would otherwise be tried again at each of them, without a pause.
func onlyTold(before, after client.Object) bool {
	was, ok := before.(*v1alpha1.Process)
	is, ok2 := after.(*v1alpha1.Process)
	return ok && ok2 && was.UID == is.UID && !is.Finished() && is.DeletionTimestamp == nil &&
		(was.Status.QueuePosition != is.Status.QueuePosition || refusalOf(was) != refusalOf(is))
}

// refusalOf is why a Process has no Job, in the cluster's words; "" when it has
// not been refused one.
func refusalOf(p *v1alpha1.Process) string {
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched); c != nil {
		return c.Message
	}
	return ""
}

// launched says whether the Process has a Job, as far as the cache knows; one
// that comes later comes as an event.
func (r *Reconciler) launched(ctx context.Context, p *v1alpha1.Process) bool {
	job := &batchv1.Job{}
	return r.Client.Get(ctx, client.ObjectKeyFromObject(p), job) == nil && metav1.IsControlledBy(job, p)
}

// jobEvents tells the queue of Jobs. It asks for nobody.
func (r *Reconciler) jobEvents() handler.EventHandler {
	take := func(job client.Object) {
		if owner := metav1.GetControllerOf(job); owner != nil {
			r.Queue.Launched(owner.Name, owner.UID)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, _ requests) { take(e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ requests) { take(e.ObjectNew) },
	}
}

// typeEvents tells the queue of types and their bounds, and asks for those whose
// turn a greater bound makes it, or whose type is gone.
func (r *Reconciler) typeEvents() handler.EventHandler {
	take := func(o client.Object, todo requests) {
		if t, ok := o.(*v1alpha1.ProcessType); ok {
			r.types.came(t.Name)
			wake(todo, t, r.Queue.Register(t.Name, int(t.Spec.MaxConcurrent)))
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, todo requests) { take(e.Object, todo) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, todo requests) { take(e.ObjectNew, todo) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, todo requests) {
			r.types.went(e.Object.GetName(), r.Clock.Now())
			wake(todo, e.Object, r.Queue.Unregister(e.Object.GetName()))
		},
	}
}

// wake asks for Processes to be reconciled, but for the one that the event is of,
// which is asked for anyway.
func wake(todo requests, of client.Object, names []string) {
	_, itself := of.(*v1alpha1.Process)
	for _, name := range names {
		if !itself || name != of.GetName() {
			todo.Add(reconcile.Request{NamespacedName: client.ObjectKey{Namespace: of.GetNamespace(), Name: name}})
		}
	}
}
