package processtype

import (
	"context"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
)

// countEvery is how long the counts of a type may be behind, and so how often
// they are written while processes come and go.
const countEvery = 5 * time.Second

// CountReconciler keeps status.queued, running and finished: how many Processes
// of a type there are now.
//
// Every Process is counted by the events about it, as they come: to go through a
// hundred thousand of them each time would cost as much as all else that the
// operator does. The tally remembers those that are under way alone, and of the
// finished ones their number.
type CountReconciler struct {
	Client client.Client

	tally  tally
	filled []func() bool // whether it has seen all that there was at the start
}

// Setup registers the controller. Nothing is counted while nothing changes: a
// change asks for its type to be counted in countEvery, and others until then
// ask for the same.
func (r *CountReconciler) Setup(ctx context.Context, mgr manager.Manager) error {
	r.tally.init()
	for _, kind := range []client.Object{&v1alpha1.Process{}, &batchv1.Job{}} {
		informer, err := mgr.GetCache().GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("get informer of %T: %w", kind, err)
		}
		registration, err := informer.AddEventHandler(&r.tally)
		if err != nil {
			return fmt.Errorf("count %T: %w", kind, err)
		}
		r.filled = append(r.filled, registration.HasSynced)
	}
	return builder.ControllerManagedBy(mgr).
		Named("processtype-counts").
		For(&v1alpha1.ProcessType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.Process{}, later(func(o client.Object) string { return o.(*v1alpha1.Process).Spec.Type })).
		Watches(&batchv1.Job{}, later(func(o client.Object) string { return o.GetLabels()[v1alpha1.LabelType] })).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// later asks for the type of what changed to be counted in a while. A Process
// that goes on with the same state changes no count, and a Job none after its
// creation.
func later(typeOf func(client.Object) string) handler.EventHandler {
	enqueue := func(o client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		queue.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: typeOf(o)}}, countEvery)
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if before, ok := e.ObjectOld.(*v1alpha1.Process); ok && before.Finished() != e.ObjectNew.(*v1alpha1.Process).Finished() {
				enqueue(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.Object, q)
		},
	}
}

// Reconcile writes the counts of one type when they have changed.
func (r *CountReconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	for _, filled := range r.filled {
		if !filled() {
			return reconcile.Result{RequeueAfter: behind}, nil
		}
	}
	now := r.tally.of(t.Name)
	changed := t.DeepCopy()
	changed.Status.Queued, changed.Status.Running, changed.Status.Finished = &now.queued, &now.running, &now.finished
	if differs(t.Status.Queued, now.queued) || differs(t.Status.Running, now.running) || differs(t.Status.Finished, now.finished) {
		// Nobody else writes these fields.
		if err := r.Client.Status().Patch(ctx, changed, client.MergeFrom(t)); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("patch counts of process type: %w", err)
		}
	}
	return reconcile.Result{}, nil
}

func differs(written *int32, now int32) bool { return written == nil || *written != now }

// counts are how many Processes of a type are in which state.
type counts struct{ queued, running, finished int32 }

// tally counts Processes, as the event handler of the informers of Processes and
// Jobs. A Process under way is queued until there is a Job of its name.
type tally struct {
	mu       sync.Mutex
	underway map[string]map[string]struct{} // type → names of its Processes
	jobs     map[string]struct{}            // names of the Jobs there are
	finished map[string]int32               // type → how many
}

var _ toolscache.ResourceEventHandler = (*tally)(nil)

func (t *tally) init() {
	t.underway, t.jobs, t.finished = map[string]map[string]struct{}{}, map[string]struct{}{}, map[string]int32{}
}

// OnAdd counts a new object.
func (t *tally) OnAdd(o any, _ bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch o := o.(type) {
	case *v1alpha1.Process:
		t.add(o)
	case *batchv1.Job:
		t.jobs[o.Name] = struct{}{}
	}
}

// OnUpdate counts an object in its new form, no longer in its old one.
func (t *tally) OnUpdate(before, after any) {
	old, ok := before.(*v1alpha1.Process)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(old)
	if p, ok := after.(*v1alpha1.Process); ok {
		t.add(p)
	}
}

// OnDelete counts an object no longer. It is as the informer last had it, which
// is as it was last counted.
func (t *tally) OnDelete(o any) {
	if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch o := o.(type) {
	case *v1alpha1.Process:
		t.remove(o)
	case *batchv1.Job:
		delete(t.jobs, o.Name)
	}
}

func (t *tally) add(p *v1alpha1.Process) {
	if p.Finished() {
		t.finished[p.Spec.Type]++
		return
	}
	if t.underway[p.Spec.Type] == nil {
		t.underway[p.Spec.Type] = map[string]struct{}{}
	}
	t.underway[p.Spec.Type][p.Name] = struct{}{}
}

func (t *tally) remove(p *v1alpha1.Process) {
	if p.Finished() {
		if t.finished[p.Spec.Type]--; t.finished[p.Spec.Type] == 0 {
			delete(t.finished, p.Spec.Type)
		}
		return
	}
	if delete(t.underway[p.Spec.Type], p.Name); len(t.underway[p.Spec.Type]) == 0 {
		delete(t.underway, p.Spec.Type)
	}
}

// of returns the counts of a type.
func (t *tally) of(processType string) counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := counts{finished: t.finished[processType]}
	for name := range t.underway[processType] {
		if _, ok := t.jobs[name]; ok {
			c.running++
		} else {
			c.queued++
		}
	}
	return c
}
