// Package process reconciles Processes: it launches the worker's Job, watches
// over it, and finishes the Process when the cluster, rather than the worker's
// agent, has the last word.
package process

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/internal/outcome"
	"procman.dev/procman/controllers/internal/queue"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/rules"
)

// Reconciler launches, observes and finishes.
type Reconciler struct {
	// Client reads from the caches and writes; Live reads past them.
	Client client.Client
	Live   client.Reader
	Clock  clock.PassiveClock
	Writer *terminal.Writer
	Job    jobspec.Config
	// Queue says whose turn it is; Setup has it told of what there is.
	Queue *queue.Queue
	// Delivery is how the agent gets into the workers of types that do not say,
	// as it is now; it goes before Job's.
	Delivery func() v1alpha1.AgentDelivery
	// Rules are those of the process types that inputs are checked against.
	Rules *rules.Cache
	// Violations is what a pod may not be, in words; nothing when it may.
	Violations func(*metav1.ObjectMeta, *corev1.PodSpec) string

	types absence
}

// Setup registers the controller. concurrency is how many Processes are worked
// on at once.
func (r *Reconciler) Setup(ctx context.Context, mgr manager.Manager, concurrency int) error {
	toProcess := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		name := o.GetLabels()[v1alpha1.LabelProcess]
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}}}
	})
	b := builder.ControllerManagedBy(mgr).
		Named("process").
		Watches(&v1alpha1.Process{}, r.processEvents()).
		Watches(&v1alpha1.ProcessType{}, r.typeEvents()).
		Watches(&batchv1.Job{}, r.jobEvents()).
		Watches(&batchv1.Job{}, handler.EnqueueRequestForOwner(mgr.GetScheme(), mgr.GetRESTMapper(), &v1alpha1.Process{}, handler.OnlyControllerOwner())).
		Watches(&corev1.Pod{}, toProcess).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrency,
			ReconciliationTimeout:   time.Minute,
		})
	if err := r.watchTypes(ctx, mgr, b); err != nil {
		return fmt.Errorf("watch process types: %w", err)
	}
	return b.Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile moves one Process on. It returns an error for what is worth another
// try, and otherwise when to look again, if time alone may change something.
func (r *Reconciler) Reconcile(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	if p.DeletionTimestamp != nil || p.Expired(r.Clock.Now()) {
		return reconcile.Result{}, nil // the expiration controller's
	}
	job := &batchv1.Job{}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(p), job)
	switch {
	case p.Finished():
		return r.settle(ctx, p, job, err)
	case apierrors.IsNotFound(err):
		return r.launch(ctx, p)
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("get job: %w", err)
	case !metav1.IsControlledBy(job, p):
		return r.nameTaken(ctx, p, job)
	}
	if err := r.unmarkRefused(ctx, p); err != nil {
		return reconcile.Result{}, err
	}
	return r.observe(ctx, p, job)
}

// observe finishes the Process if its Job and pods say so.
func (r *Reconciler) observe(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job) (reconcile.Result, error) {
	var pods corev1.PodList
	err := r.Client.List(ctx, &pods, client.InNamespace(p.Namespace), client.MatchingLabels{v1alpha1.LabelProcess: p.Name})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("list pods: %w", err)
	}
	now := r.Clock.Now()
	observation := outcome.Observe(job, pods.Items, now)
	decision := observation.Decide()
	if decision.EventsOf != "" {
		// Events are not cached: they are read at the end of a few processes only.
		var events corev1.EventList
		err := r.Live.List(ctx, &events, client.InNamespace(p.Namespace), client.MatchingFields{"involvedObject.uid": string(decision.EventsOf)})
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("list events: %w", err)
		}
		observation.AddEvents(events.Items)
		decision = observation.Decide()
	}
	logf.FromContext(ctx).V(1).Info("outcome decided", "rule", decision.Rule, "recheckAt", decision.RecheckAt)
	switch {
	case decision.Result != nil:
		return reconcile.Result{}, r.finish(ctx, p, *decision.Result, job.Name)
	case decision.Abandon != nil:
		return reconcile.Result{}, r.abandon(ctx, decision.Abandon)
	}
	if !decision.RecheckAt.IsZero() {
		return reconcile.Result{RequeueAfter: max(decision.RecheckAt.Sub(now), time.Millisecond)}, nil
	}
	return reconcile.Result{}, nil
}

// abandon marks a pod as failed whose node does not answer, as Kubernetes' own
// garbage collector does once the node is gone: the Job then makes another. Should
// the node come back, its kubelet ends the pod.
func (r *Reconciler) abandon(ctx context.Context, pod *corev1.Pod) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": pod.ResourceVersion, "uid": pod.UID},
		"status": map[string]any{
			"phase": corev1.PodFailed, "reason": outcome.ReasonNodeLost, "message": "the pod's node does not answer; its process is run elsewhere",
			// Since when: the time of the next attempt runs from here.
			"conditions": []corev1.PodCondition{{
				Type: outcome.ConditionAbandoned, Status: corev1.ConditionTrue, Reason: outcome.ReasonNodeLost, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
			}},
		},
	})
	if err != nil {
		return fmt.Errorf("encode pod status: %w", err)
	}
	err = r.Client.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
	if err = client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("abandon pod: %w", err)
	}
	logf.FromContext(ctx).Info("pod abandoned", "pod", pod.Name, "node", pod.Spec.NodeName)
	return nil
}

// jobDeletionDelay is how long the operator waits before it deletes the Job of a
// process in error. Most Jobs end sooner on their own, so that their pods and logs
// remain.
const jobDeletionDelay = 30 * time.Second

// settle ends what still runs for a Process in error: a retry, a pod that waits
// for its image. A complete one may have a suspended Job, which would run again.
func (r *Reconciler) settle(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job, err error) (reconcile.Result, error) {
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("get job: %w", err)
	}
	if (p.Status.State != v1alpha1.StateError && !outcome.Suspended(job)) || !metav1.IsControlledBy(job, p) || job.DeletionTimestamp != nil || outcome.EndCondition(job) != nil {
		return reconcile.Result{}, nil
	}
	if wait := p.Status.CompletionTime.Add(jobDeletionDelay).Sub(r.Clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	err = r.Client.Delete(ctx, job, client.Preconditions{UID: &job.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("delete job: %w", err)
	}
	return reconcile.Result{}, nil
}

// finish gives the Process its terminal status; one that is gone needs none.
func (r *Reconciler) finish(ctx context.Context, p *v1alpha1.Process, result agentapi.Result, jobName string) error {
	return client.IgnoreNotFound(r.Writer.Commit(ctx, p, result, jobName))
}
