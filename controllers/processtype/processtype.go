// Package processtype looks at each registration of a worker image and says in
// its status whether processes of the type can be started, what the image runs,
// and how many processes there are.
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
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
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
	"procman.dev/procman/controllers/delivery"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/internal/prose"
	"procman.dev/procman/internal/schema"
)

// Reconciler keeps the condition Accepted.
type Reconciler struct {
	Client client.Client
	// Job is what is added to every Job.
	Job jobspec.Config
	// Policy is what a type's pods may be.
	Policy Policy
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
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{}) // not by its status
	return builder.ControllerManagedBy(mgr).
		Named("processtype").
		For(&v1alpha1.ProcessType{}, changed).
		Watches(&v1alpha1.ProcessType{}, toAll, changed).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes the condition when it is not what it should be.
func (r *Reconciler) Reconcile(ctx context.Context, t *v1alpha1.ProcessType) (reconcile.Result, error) {
	var all v1alpha1.ProcessTypeList
	if err := r.Client.List(ctx, &all, client.InNamespace(t.Namespace)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list process types: %w", err)
	}
	job := example(t, r.Job)
	accepted := judge(t, all.Items, r.Policy.Violations(&job.Spec.Template.ObjectMeta, &job.Spec.Template.Spec))
	if accepted.Status == metav1.ConditionTrue {
		refusal, err := r.rehearse(ctx, job)
		if err != nil {
			return reconcile.Result{}, err
		}
		if refusal != "" {
			accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, v1alpha1.ReasonInvalidTemplate, refusal
		}
	}
	result, err := patchStatus(ctx, r.Client, t, func(s *v1alpha1.ProcessTypeStatus) {
		accepted.Message = bounded(accepted.Message)
		meta.SetStatusCondition(&s.Conditions, accepted)
	})
	if err == nil && result.IsZero() && accepted.Reason == v1alpha1.ReasonInvalidTemplate {
		result.RequeueAfter = rehearseAgain
	}
	return result, err
}

// rehearseAgain is the pause before a Job that the API server found invalid is
// rehearsed again: a policy of the cluster may have said so, and be mended.
const rehearseAgain = time.Minute

// example is the Job that a Process of the type would get.
func example(t *v1alpha1.ProcessType, c jobspec.Config) *batchv1.Job {
	t = t.DeepCopy()
	t.Status.Image, t.Status.Command = t.Spec.Image, []string{"entrypoint"} // as long as the image has not been asked
	if c.AgentDelivery == delivery.Auto {
		c.AgentDelivery = v1alpha1.AgentInitContainer // which asks for more than the other one
	}
	p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: t.Name, UID: t.UID}}
	return jobspec.Build(p, t, c)
}

// rehearse has the API server check a Job without making it, which finds what no
// schema of ours can: a label that is none, a request over its limit. It returns
// why the server calls it invalid. What else it may answer, for a quota or for a
// webhook that is away or knows no rehearsals, says nothing about the type. An
// error is that it does not answer.
func (r *Reconciler) rehearse(ctx context.Context, job *batchv1.Job) (refusal string, err error) {
	job.Name, job.GenerateName, job.OwnerReferences = "", "rehearsal-", nil
	err = r.Client.Create(ctx, job, client.DryRunAll)
	var answer apierrors.APIStatus
	switch {
	case apierrors.IsInvalid(err):
		return "the cluster refuses the Job of such a process: " + reasons(err), nil
	case err == nil, errors.As(err, &answer):
		return "", nil
	}
	return "", fmt.Errorf("rehearse the job of a process: %w", err)
}

// reasons are what an Invalid error says about the fields, without the name of
// the Job, which does not exist.
func reasons(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err.Error()
	}
	var causes []string
	for _, c := range status.Status().Details.Causes {
		if c.Field != "" { // a policy names none
			c.Message = c.Field + ": " + c.Message
		}
		causes = append(causes, c.Message)
	}
	return strings.Join(causes, "; ")
}

// patchStatus writes what change makes of the status, if that is another one. A
// type that is gone needs none.
func patchStatus(ctx context.Context, c client.Client, t *v1alpha1.ProcessType, change func(*v1alpha1.ProcessTypeStatus)) (reconcile.Result, error) {
	changed := t.DeepCopy()
	change(&changed.Status)
	if equality.Semantic.DeepEqual(t.Status, changed.Status) {
		return reconcile.Result{}, nil
	}
	// Conditions are replaced as a whole: nobody else may have changed one.
	patch := client.MergeFromWithOptions(t, client.MergeFromWithOptimisticLock{})
	err := client.IgnoreNotFound(c.Status().Patch(ctx, changed, patch))
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: behind}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("patch process type status: %w", err)
	}
	return reconcile.Result{}, nil
}

// behind is how long the cache may need to see what another has just written.
const behind = 100 * time.Millisecond

// bounded is a message that a condition can hold.
func bounded(message string) string {
	const most = 4096 // bytes; what people read
	return prose.Cut(message, most)
}

// judge says whether a type can be used as it stands, among all types. violations
// are what its pods ask for beyond the policy, in words.
func judge(t *v1alpha1.ProcessType, all []v1alpha1.ProcessType, violations string) metav1.Condition {
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
	if violations != "" {
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, v1alpha1.ReasonPolicyViolation, violations
		return accepted
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
