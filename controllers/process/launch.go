// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/rules"
)

// missingTypeWait is how long a Process waits for a type that does not exist: one
// kubectl apply of both may create the Process first, and kubectl replace deletes
// a type before it creates it again.
const missingTypeWait = 5 * time.Second

// launch creates the Job of the Process. If that is not possible yet, it waits; if it
// never will be, it finishes the Process.
func (r *Reconciler) launch(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	processType := &v1alpha1.ProcessType{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Type}, processType)
	if apierrors.IsNotFound(err) {
		if wait := r.Ledger.WithoutTypeSince(p).Add(missingTypeWait).Sub(r.Clock.Now()); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		return reconcile.Result{}, r.refuseType(ctx, p)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("get process type: %w", err)
	}
	now := r.Clock.Now()
	switch ready := readinessOf(p, processType, now); {
	case ready.refusal != nil:
		return reconcile.Result{}, r.finish(ctx, p, *ready.refusal, "")
	case ready.waits && ready.until.IsZero():
		return reconcile.Result{}, nil // the next change of the type requests a reconciliation
	case ready.waits:
		return reconcile.Result{RequeueAfter: ready.until.Sub(now)}, nil // or earlier, if the type changes
	}
	refusal, err := r.checkInput(ctx, p, processType)
	if err != nil {
		return reconcile.Result{}, err
	}
	if refusal != nil {
		return reconcile.Result{}, r.finish(ctx, p, *refusal, "")
	}
	if !r.Ledger.Admitted(client.ObjectKeyFromObject(p), p.UID) {
		return r.markQueued(ctx, p) // its admission requests a reconciliation
	}
	return r.createJob(ctx, p, processType)
}

// createJob creates the Job. If the Job of this Process exists already, the cache did
// not contain it yet, and there is nothing to do.
func (r *Reconciler) createJob(ctx context.Context, p *v1alpha1.Process, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	config := r.Job
	config.AgentInjection = r.Injection()
	pod := jobspec.Pod(t, config)
	// An operator with a less strict policy may have accepted the type.
	if violations := r.Violations(&pod.ObjectMeta, &pod.Spec); violations != "" {
		return reconcile.Result{}, r.finish(ctx, p, notAccepted(t, v1alpha1.ReasonPolicyViolation, violations), "")
	}
	err := r.Client.Create(ctx, jobspec.Job(p, t, pod))
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
	return r.handleRefusal(ctx, p, t, err)
}

// refusedRetry is the time after which the operator tries again to create a Job
// that the cluster refused.
const refusedRetry = 5 * time.Second

// handleRefusal handles an error of the cluster on the creation of a Job. A Job that is
// invalid stays invalid: the Process ends in error. Any other cause (a quota, a policy,
// a missing right) can be temporary. The operator tries again until startTimeoutSeconds
// after the first refusal. It does not count from the creation of the Process, because
// the Process may have waited in the queue.
func (r *Reconciler) handleRefusal(ctx context.Context, p *v1alpha1.Process, t *v1alpha1.ProcessType, err error) (reconcile.Result, error) {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return reconcile.Result{}, fmt.Errorf("create job: %w", err)
	}
	message := "the cluster refused the worker's Job: " + answer.Status().Message
	final := apierrors.IsInvalid(err)
	if c := launched(p); c != nil && c.Reason == v1alpha1.ReasonRefused {
		deadline := c.LastTransitionTime.Add(time.Duration(t.Spec.StartTimeoutSeconds) * time.Second)
		final = final || !r.Clock.Now().Before(deadline)
	}
	if final {
		return reconcile.Result{}, r.finish(ctx, p, agentapi.Failure(errorcode.LaunchRefused, map[string]any{
			"message": message, "reason": answer.Status().Reason,
		}), "")
	}
	if err := r.markRefused(ctx, p, message); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: refusedRetry}, nil
}

// checkInput returns the error result of a Process whose type does not allow its input;
// nil if the type allows it. The facade has already checked the input of a POST. A
// Process created with kubectl is checked here, by the same rules. Only the facade stores
// inputs, and it has checked them.
func (r *Reconciler) checkInput(ctx context.Context, p *v1alpha1.Process, t *v1alpha1.ProcessType) (*agentapi.Result, error) {
	if !p.Spec.StoredInput.IsZero() {
		return nil, nil
	}
	input, err := payload.InlineInput(ctx, r.Live, p)
	if err != nil {
		return nil, err
	}
	err = r.Rules.Of(t).CheckInput([]byte(input))
	if v, ok := errors.AsType[*rules.Violation](err); ok {
		return &agentapi.Result{ErrorCode: v.Code, ErrorDetails: v.ErrorDetails()}, nil
	}
	if err != nil { // the schema does not compile: another version of the operator accepted the type
		return nil, fmt.Errorf("process type %s: %w", t.Name, err)
	}
	return nil, nil
}

// refuseType finishes a Process whose type does not exist. The error details list
// the types that exist.
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

// predecessorWait is how long a Process waits until the garbage collector has
// deleted the Job of an earlier Process with the same name.
const predecessorWait = time.Minute

// nameTaken handles a Job that has the name of the Process, but does not belong to
// it. The Job of an earlier Process with this name will soon be deleted. Any other Job
// is not changed, and the Process ends in error.
func (r *Reconciler) nameTaken(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job) (reconcile.Result, error) {
	owner := metav1.GetControllerOf(job)
	ofPredecessor := owner != nil && owner.APIVersion == v1alpha1.GroupVersion.String() && owner.Kind == "Process" && owner.Name == p.Name
	if ofPredecessor && r.Clock.Now().Before(p.CreationTimestamp.Add(predecessorWait)) {
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	return reconcile.Result{}, r.finish(ctx, p, agentapi.Failure(errorcode.NameTaken, map[string]any{
		"message": "a Job with the name of the process exists, but does not belong to the process; it was not changed",
	}), "")
}
