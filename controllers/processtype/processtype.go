// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package processtype has the controllers of ProcessTypes. They write to the status
// of each type whether its processes can be started, what its image runs, and how
// many processes there are.
package processtype

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/injection"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/internal/statuspatch"
	"procman.dev/procman/controllers/internal/truncate"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/timing"
)

// Reconciler writes the condition Accepted.
type Reconciler struct {
	Client client.Client
	// Rules has the rules of the process types, to check their schemas.
	Rules *rules.Cache
	// Job is what the operator adds to every Job.
	Job jobspec.Config
	// Policy limits what the pods of a type may do.
	Policy Policy
}

// SetupWithManager registers the controller. A change of one type can change which type
// an alias belongs to. Therefore it requests all types of the namespace.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
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
	specChanged := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return builder.ControllerManagedBy(mgr).
		Named("processtype").
		For(&v1alpha1.ProcessType{}, specChanged).
		Watches(&v1alpha1.ProcessType{}, toAll, specChanged).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes the condition if it has changed.
func (r *Reconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	var all v1alpha1.ProcessTypeList
	if err := r.Client.List(ctx, &all, client.InNamespace(t.Namespace)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list process types: %w", err)
	}
	job := example(t, r.Job)
	accepted := accept(t, r.Rules.Of(t), all.Items, r.Policy.Violations(&job.Spec.Template.ObjectMeta, &job.Spec.Template.Spec))
	if accepted.Status == metav1.ConditionTrue {
		refusal, err := r.dryRun(ctx, job)
		if err != nil {
			return reconcile.Result{}, err
		}
		if refusal != "" {
			accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, v1alpha1.ReasonInvalidTemplate, refusal
		}
	}
	accepted.Message = truncate.Bytes(accepted.Message, maxMessageBytes)
	result, err := patchStatus(ctx, r.Client, t, func(s *v1alpha1.ProcessTypeStatus) {
		meta.SetStatusCondition(&s.Conditions, accepted)
	})
	if err == nil && result.IsZero() && accepted.Reason == v1alpha1.ReasonInvalidTemplate {
		result.RequeueAfter = dryRunInterval
	}
	return result, err
}

// maxMessageBytes is the maximum size of a message in a condition.
const maxMessageBytes = 4096

// dryRunInterval is the time after which an invalid Job is tried again: a policy of
// the cluster may have refused it, and policies change.
const dryRunInterval = time.Minute

// example returns the Job that a Process of the type would get.
func example(t *v1alpha1.ProcessType, c jobspec.Config) *batchv1.Job {
	t = t.DeepCopy()
	t.Status.Image, t.Status.Command = t.Spec.Image, []string{"entrypoint"} // the image may not be resolved yet
	if c.AgentInjection == injection.Auto {
		c.AgentInjection = v1alpha1.AgentInitContainer // its pod has one container more to check
	}
	p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: t.Name, UID: t.UID}}
	return jobspec.Job(p, t, jobspec.Pod(t, c))
}

// dryRun asks the API server to create a Job as a dry run. This finds errors that the
// schema of a type cannot find: an invalid label value, a request above its limit.
// refusal is why the server calls the Job invalid; empty if it does not. Any other error
// of the server, such as a quota or a webhook without dry-run support, is not caused by
// the type and is ignored. err is not nil if the server does not answer.
func (r *Reconciler) dryRun(ctx context.Context, job *batchv1.Job) (refusal string, err error) {
	job.Name, job.GenerateName, job.OwnerReferences = "", "dry-run-", nil
	err = r.Client.Create(ctx, job, client.DryRunAll)
	var answer apierrors.APIStatus
	switch {
	case apierrors.IsInvalid(err):
		return "the cluster refuses the Job of such a process: " + fieldErrors(err), nil
	case err == nil, errors.As(err, &answer):
		return "", nil
	}
	return "", fmt.Errorf("create job of a process as a dry run: %w", err)
}

// fieldErrors returns the errors of the fields in an Invalid error, without the name of
// the Job, which does not exist.
func fieldErrors(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err.Error()
	}
	var causes []string
	for _, c := range status.Status().Details.Causes {
		if c.Field != "" { // empty if a policy refused it
			c.Message = c.Field + ": " + c.Message
		}
		causes = append(causes, c.Message)
	}
	return strings.Join(causes, "; ")
}

// patchStatus applies change to a copy of the status, sets the condition Ready, and
// writes the result if it differs from the status of t. After a conflict it requests
// another reconciliation. It does nothing if the type was deleted.
func patchStatus(ctx context.Context, c client.Client, t *v1alpha1.ProcessType, change func(*v1alpha1.ProcessTypeStatus)) (reconcile.Result, error) {
	changed := t.DeepCopy()
	change(&changed.Status)
	setReady(changed)
	if equality.Semantic.DeepEqual(t.Status, changed.Status) {
		return reconcile.Result{}, nil
	}
	patch := statusPatch{Command: changed.Status.Command}
	if len(changed.Status.Conditions) > 0 { // the schema does not allow an empty list
		patch.Conditions = changed.Status.Conditions
	}
	if changed.Status.Image != "" {
		patch.Image = &changed.Status.Image
	}
	err := client.IgnoreNotFound(statuspatch.ApplyLocked(ctx, c, t, patch))
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: cacheDelay}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("patch process type status: %w", err)
	}
	return reconcile.Result{}, nil
}

// statusPatch is a merge patch: null removes a field.
type statusPatch struct {
	Conditions []metav1.Condition `json:"conditions"`
	Image      *string            `json:"image"`
	Command    []string           `json:"command"`
}

// cacheDelay is how long the cache may need until it contains what another
// controller has just written.
const cacheDelay = 100 * time.Millisecond

// accept returns the condition Accepted of a type, without the dry run. all are the types
// of its namespace. violations is what the policy forbids about the pods of the type;
// empty if nothing.
func accept(t *v1alpha1.ProcessType, typeRules *rules.Rules, all []v1alpha1.ProcessType, violations string) metav1.Condition {
	accepted := metav1.Condition{
		Type:               v1alpha1.ConditionAccepted,
		ObservedGeneration: t.Generation,
		Status:             metav1.ConditionTrue,
		Reason:             v1alpha1.ReasonAccepted,
		Message:            "processes of this type can be started",
	}
	if err := cmp.Or(typeRules.InputSchemaError(), typeRules.OutputSchemaError()); err != nil {
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, v1alpha1.ReasonInvalidSchema, err.Error()
		return accepted
	}
	if err := timing.CheckLifetime(&t.Spec); err != nil {
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, v1alpha1.ReasonLifetimeTooShort, err.Error()
		return accepted
	}
	if violations != "" {
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, v1alpha1.ReasonPolicyViolation, violations
		return accepted
	}
	if taken := aliasesOfOthers(t, all); len(taken) > 0 {
		accepted.Reason = v1alpha1.ReasonAliasTaken
		accepted.Message = "processes of this type can be started, but not by every alias: " + strings.Join(taken, ", ")
	}
	return accepted
}

// aliasesOfOthers describes the aliases of a type that belong to another type. The name
// of a type has priority over aliases, and an older type has priority over a newer one.
// The facade resolves names by the same rule.
func aliasesOfOthers(t *v1alpha1.ProcessType, all []v1alpha1.ProcessType) []string {
	var taken []string
	for _, alias := range t.Spec.Aliases {
		for i := range all {
			other := &all[i]
			if other.Name == t.Name {
				continue
			}
			older := cmp.Or(other.CreationTimestamp.Compare(t.CreationTimestamp.Time), cmp.Compare(other.Name, t.Name)) < 0
			if other.Name == alias || older && slices.Contains(other.Spec.Aliases, alias) {
				taken = append(taken, fmt.Sprintf("%q is %s's", alias, other.Name))
				break
			}
		}
	}
	return taken
}
