// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package process is the controller of Processes. It launches the Job of the
// worker, observes it, and finishes the Process if the agent delivers no result:
// because the Process cannot be launched, or because of what happened to the Job
// and its pods.
package process

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobpods"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/internal/ledger"
	"procman.dev/procman/controllers/internal/outcome"
	"procman.dev/procman/controllers/internal/statuspatch"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/rules"
)

// Reconciler moves Processes from creation to their terminal status.
type Reconciler struct {
	// Client reads from the caches and writes. Live reads from the API server.
	Client client.Client
	Live   client.Reader
	Clock  clock.PassiveClock
	Writer *terminal.Writer
	// Ledger reports which Processes are admitted. This controller fills it.
	Ledger *ledger.Ledger
	Job    jobspec.Config
	// Injection is how the agent gets into the workers of types that do not specify
	// it. It overrides Job.AgentInjection.
	Injection func() v1alpha1.AgentInjection
	// Rules has the rules of the process types, to validate inputs.
	Rules *rules.Cache
	// Violations describes what the pod security policy forbids about a pod; empty
	// if nothing.
	Violations func(*metav1.ObjectMeta, *corev1.PodSpec) string
	// KeepComplete and KeepFailed are how long the Job of a Process is kept after the
	// Process is complete or in error; 0 means until the Process is deleted.
	KeepComplete, KeepFailed time.Duration
	// Scheduled remembers when pods were scheduled. This controller fills it.
	Scheduled *Scheduled
	// Concurrency is how many Processes are reconciled at the same time.
	Concurrency int
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	toProcess := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, pod client.Object) []reconcile.Request {
		if process, ok := jobpods.Process(ctx, r.Client, pod); ok {
			return []reconcile.Request{{NamespacedName: process}}
		}
		return nil
	})
	return builder.ControllerManagedBy(mgr).
		Named("process").
		WatchesRawSource(r.ledgerSource(mgr.GetCache())).
		Watches(&batchv1.Job{}, handler.EnqueueRequestForOwner(mgr.GetScheme(), mgr.GetRESTMapper(), &v1alpha1.Process{}, handler.OnlyControllerOwner())).
		Watches(&corev1.Pod{}, toProcess).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.Concurrency,
			ReconciliationTimeout:   time.Minute,
		}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile takes the next step for one Process. An error is retried with backoff.
// The result has RequeueAfter if the next step depends on the time, and not only on a
// change of an object.
func (r *Reconciler) Reconcile(ctx context.Context, p *v1alpha1.Process) (reconcile.Result, error) {
	if p.DeletionTimestamp != nil || p.Expired(r.Clock.Now()) {
		return reconcile.Result{}, nil // the expiration controller deletes it
	}
	job, err := r.jobOf(ctx, p)
	switch {
	case err != nil:
		return reconcile.Result{}, err
	case p.Finished():
		return r.cleanUp(ctx, p, job)
	case job == nil:
		return r.launch(ctx, p)
	case !metav1.IsControlledBy(job, p):
		return r.nameTaken(ctx, p, job)
	}
	again, err := r.markLaunched(ctx, p, job)
	if err != nil {
		return reconcile.Result{}, err
	}
	result, err := r.observe(ctx, p, job)
	if again > 0 && (result.RequeueAfter == 0 || again < result.RequeueAfter) {
		result.RequeueAfter = again
	}
	return result, err
}

// jobOf returns the Job with the name of the Process from the cache; nil if there is
// none. The Job may belong to somebody else.
func (r *Reconciler) jobOf(ctx context.Context, p *v1alpha1.Process) (*batchv1.Job, error) {
	job := &batchv1.Job{}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(p), job)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get job: %w", err)
	}
	return job, nil
}

// observe finishes the Process if its Job and pods have an outcome.
func (r *Reconciler) observe(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job) (reconcile.Result, error) {
	pods, err := jobpods.List(ctx, r.Client, job)
	if err != nil {
		return reconcile.Result{}, err
	}
	now := r.Clock.Now()
	observation := outcome.Observe(job, pods, now)
	if observation.Pod != nil {
		observation.LastScheduled = r.Scheduled.Last(observation.Pod)
	}
	decision := observation.Decide()
	if decision.EventsOf != "" {
		// Events are not cached: only few processes need them, and only at their end.
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
	case decision.Fail != nil:
		return reconcile.Result{}, r.failPod(ctx, decision.Fail)
	}
	if !decision.RecheckAt.IsZero() {
		return reconcile.Result{RequeueAfter: max(decision.RecheckAt.Sub(now), time.Millisecond)}, nil
	}
	return reconcile.Result{}, nil
}

// failPod marks a pod as failed. The garbage collector of Kubernetes does the same when
// a node is deleted. The Job then creates another pod. If containers of the pod still
// run, the kubelet stops them as soon as it can reach the API server.
func (r *Reconciler) failPod(ctx context.Context, f *outcome.PodFailure) error {
	err := statuspatch.ApplyLocked(ctx, r.Client, f.Pod, map[string]any{
		"phase": corev1.PodFailed, "reason": f.Reason, "message": f.Message,
		"conditions": append(slices.Clone(f.Pod.Status.Conditions), corev1.PodCondition{
			Type: outcome.ConditionMarkedFailed, Status: corev1.ConditionTrue, Reason: f.Reason, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
		}),
	})
	if err = client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("mark pod as failed: %w", err)
	}
	logf.FromContext(ctx).Info("pod marked as failed", "pod", f.Pod.Name, "node", f.Pod.Spec.NodeName, "reason", f.Reason)
	return nil
}

// jobDeletionDelay is how long after the terminal status the operator deletes a Job
// that has not ended. Most Jobs end sooner on their own, and are kept for longer.
const jobDeletionDelay = 30 * time.Second

// cleanUp deletes the Job of a terminal Process, and with it the pods and their logs,
// when they have been kept for long enough. The result of the Process is in its status.
// job may be nil.
func (r *Reconciler) cleanUp(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job) (reconcile.Result, error) {
	if job == nil || !metav1.IsControlledBy(job, p) || job.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	runs, err := r.canStillRun(ctx, p, job)
	if err != nil {
		return reconcile.Result{}, err
	}
	keep := r.KeepFailed
	switch {
	case runs:
		keep = jobDeletionDelay
	case p.Status.State == v1alpha1.StateComplete:
		keep = r.KeepComplete
	}
	if keep == 0 {
		return reconcile.Result{}, nil
	}
	if wait := p.Status.CompletionTime.Add(keep).Sub(r.Clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	err = r.Client.Delete(ctx, job, client.Preconditions{UID: &job.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("delete job: %w", err)
	}
	return reconcile.Result{}, nil
}

// canStillRun reports whether the Job of a terminal Process could still run a container.
// If the Process is in error, the Job can have another attempt, or a pod that waits for
// its image. If it is complete, the Job can be suspended and resumed later, or a
// container that the cluster added can keep a pod alive.
func (r *Reconciler) canStillRun(ctx context.Context, p *v1alpha1.Process, job *batchv1.Job) (bool, error) {
	if outcome.EndCondition(job) != nil {
		return false, nil
	}
	pods, err := jobpods.List(ctx, r.Client, job)
	if err != nil {
		return false, err
	}
	return p.Status.State == v1alpha1.StateError || outcome.Suspended(job) || slices.ContainsFunc(pods, outcome.Alive), nil
}

// finish writes the terminal status of the Process. It does nothing if the Process
// was deleted.
func (r *Reconciler) finish(ctx context.Context, p *v1alpha1.Process, result agentapi.Result, jobName string) error {
	return client.IgnoreNotFound(r.Writer.Commit(ctx, p, result, jobName))
}
