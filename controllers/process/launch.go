package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/internal/prose"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/rules"
)

// typeGrace is how long a Process waits for a type that is not there: one
// kubectl apply of both may bring the Process first, and kubectl replace takes a
// type away before it brings the next.
const typeGrace = 5 * time.Second

// launch starts the Process's Job, or finishes the Process when it cannot be
// started.
func (r *Reconciler) launch(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	processType := &v1alpha1.ProcessType{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Type}, processType)
	if apierrors.IsNotFound(err) {
		r.Rules.Forget(client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Type})
		if wait := r.types.absentSince(p).Add(typeGrace).Sub(r.Clock.Now()); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		return reconcile.Result{}, r.refuseType(ctx, p)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("get process type: %w", err)
	}
	now := r.Clock.Now()
	switch it := ready(p, processType, now); {
	case it.refusal != nil:
		return reconcile.Result{}, r.finish(ctx, p, *it.refusal, "")
	case it.waits && it.until.IsZero():
		return reconcile.Result{}, nil // the type's next change wakes it
	case it.waits:
		return reconcile.Result{RequeueAfter: it.until.Sub(now)}, nil // or it does
	}
	refusal, err := r.checkInput(ctx, p, processType)
	if err != nil {
		return reconcile.Result{}, err
	}
	if refusal != nil {
		return reconcile.Result{}, r.finish(ctx, p, *refusal, "")
	}
	if !r.Queue.Admits(p.Name, p.UID) {
		return reconcile.Result{}, nil // the queue asks again when it is its turn
	}
	return r.createJob(ctx, p, processType)
}

// createJob creates the Job. That it exists already is fine when it is this
// Process's: the cache is behind.
func (r *Reconciler) createJob(ctx context.Context, p *v1alpha1.Process, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	config := r.Job
	config.AgentDelivery = r.Delivery()
	job := jobspec.Build(p, t, config)
	// The type was accepted, maybe by an operator that allowed more.
	if said := r.Violations(&job.Spec.Template.ObjectMeta, &job.Spec.Template.Spec); said != "" {
		return reconcile.Result{}, r.finish(ctx, p, notAccepted(t, v1alpha1.ReasonPolicyViolation, said), "")
	}
	err := r.Client.Create(ctx, job)
	switch {
	case err == nil:
		logf.FromContext(ctx).V(1).Info("job created", "type", t.Name)
		return reconcile.Result{}, nil
	case apierrors.IsAlreadyExists(err):
		job := &batchv1.Job{}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(p), job); err != nil {
			return reconcile.Result{}, fmt.Errorf("get existing job: %w", err)
		}
		if metav1.IsControlledBy(job, p) {
			return reconcile.Result{}, nil
		}
		return r.nameTaken(ctx, p, job)
	}
	return r.refused(ctx, p, t, err)
}

// refusedRetry is the pause before a Job that was refused is tried again.
const refusedRetry = 5 * time.Second

// refused deals with a Job that could not be created. What the API server finds
// invalid stays so. Anything else that it answers, a quota, a policy, a missing
// right, may pass: it is tried until the time to start is over, which runs from
// the first refusal, since the Process may have waited for its turn before.
func (r *Reconciler) refused(ctx context.Context, p *v1alpha1.Process, t *v1alpha1.ProcessType, err error) (reconcile.Result, error) {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return reconcile.Result{}, fmt.Errorf("create job: %w", err)
	}
	message := "the cluster refused the worker's Job: " + answer.Status().Message
	over := apierrors.IsInvalid(err)
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched); c != nil {
		bound := c.LastTransitionTime.Add(time.Duration(t.Spec.StartTimeoutSeconds) * time.Second)
		over = over || !r.Clock.Now().Before(bound)
	}
	if over {
		return reconcile.Result{}, r.finish(ctx, p, agentapi.Failure(errorcode.LaunchRefused, map[string]any{
			"message": message, "reason": answer.Status().Reason,
		}), "")
	}
	if err := r.markRefused(ctx, p, message); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: refusedRetry}, nil
}

// markRefused says in the status of a Process why it has no Job, in the cluster's
// newest words, and since when.
func (r *Reconciler) markRefused(ctx context.Context, p *v1alpha1.Process, message string) error {
	conditions := slices.Clone(p.Status.Conditions)
	if !meta.SetStatusCondition(&conditions, metav1.Condition{
		Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRefused,
		Message:            prose.Cut(message, 1024),
		LastTransitionTime: metav1.NewTime(r.Clock.Now()),
	}) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": p.ResourceVersion, "uid": p.UID},
		"status":   map[string]any{"conditions": conditions},
	})
	if err != nil {
		return fmt.Errorf("encode status patch: %w", err)
	}
	err = r.Client.Status().Patch(ctx, p, client.RawPatch(types.MergePatchType, patch))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("mark process as refused: %w", err)
	}
	return nil
}

// unmarkRefused takes that back once the Process has its Job, so that a later
// refusal has its own time to start.
func (r *Reconciler) unmarkRefused(ctx context.Context, p *v1alpha1.Process) error {
	before := p.DeepCopy()
	if !meta.RemoveStatusCondition(&p.Status.Conditions, v1alpha1.ConditionLaunched) {
		return nil
	}
	// Conditions are replaced as a whole: nobody else may have changed one.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.Client.Status().Patch(ctx, p, patch)); err != nil {
		return fmt.Errorf("mark process as launched: %w", err)
	}
	return nil
}

// checkInput returns the error that a Process ends with because its type does not
// allow its input, nil if it does. The facade has checked the input of a POST; that
// of a Process made with kubectl is checked here, by the same rules.
func (r *Reconciler) checkInput(ctx context.Context, p *v1alpha1.Process, t *v1alpha1.ProcessType) (*agentapi.Result, error) {
	input, err := payload.Input(ctx, r.Live, p)
	if err != nil {
		return nil, err
	}
	err = r.Rules.Of(t).CheckInput([]byte(input))
	if v, ok := errors.AsType[*rules.Violation](err); ok {
		return &agentapi.Result{ErrorCode: v.Code, ErrorDetails: v.ErrorDetails()}, nil
	}
	if err != nil { // another operator, which allowed more, may have accepted the type
		return nil, fmt.Errorf("process type %s: %w", t.Name, err)
	}
	return nil, nil
}

// refuseType finishes a Process whose type does not exist, and names those that
// do.
func (r *Reconciler) refuseType(ctx context.Context, p *v1alpha1.Process) error {
	var types v1alpha1.ProcessTypeList
	if err := r.Client.List(ctx, &types, client.InNamespace(p.Namespace)); err != nil {
		return fmt.Errorf("list process types: %w", err)
	}
	names := make([]string, 0, len(types.Items))
	for i := range types.Items {
		names = append(names, types.Items[i].Name)
	}
	slices.Sort(names)
	return r.finish(ctx, p, agentapi.Failure(errorcode.InvalidInput, map[string]any{
		"in": "spec", "at": "type", "expected": map[string]any{"enum": names},
		"message": "there is no process type " + p.Spec.Type,
	}), "")
}

// predecessorGrace is how long a Process waits for the Job of another one of its
// name to be garbage collected.
const predecessorGrace = time.Minute

// nameTaken deals with a Job of the Process's name that is not the Process's. That
// of another Process of the name, which is gone, goes as well in a moment.
func (r *Reconciler) nameTaken(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job) (reconcile.Result, error) {
	owner := metav1.GetControllerOf(job)
	predecessors := owner != nil && owner.APIVersion == v1alpha1.GroupVersion.String() && owner.Kind == "Process" && owner.Name == p.Name
	if predecessors && r.Clock.Now().Before(p.CreationTimestamp.Add(predecessorGrace)) {
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	return reconcile.Result{}, r.finish(ctx, p, agentapi.Failure(errorcode.NameTaken, map[string]any{
		"message": "a Job of the process's name exists that is not the process's; it was left alone",
	}), "")
}
