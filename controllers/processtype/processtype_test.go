// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/rules"
)

// named is a type created so many seconds after the first, with aliases.
func named(name string, seconds int64, aliases ...string) v1alpha1.ProcessType {
	return v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1e9+seconds, 0))},
		Spec:       v1alpha1.ProcessTypeSpec{Aliases: aliases},
	}
}

func TestAccept(t *testing.T) {
	broken := named("broken", 0)
	broken.Spec.OutputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"objekt"}`)}
	for name, test := range map[string]struct {
		of      v1alpha1.ProcessType
		others  []v1alpha1.ProcessType
		beyond  string // the policy
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"fine":                       {named("a", 0, "x"), []v1alpha1.ProcessType{named("b", 0, "y")}, "", "True", "Accepted", "can be started"},
		"an invalid schema":          {broken, nil, "", "False", "InvalidSchema", "spec.outputSchema: "},
		"more than the policy has":   {named("a", 0, "x"), []v1alpha1.ProcessType{named("b", 9, "x")}, "spec.template: no", "False", "PolicyViolation", "spec.template: no"},
		"an alias of an older type":  {named("a", 5, "x", "z"), []v1alpha1.ProcessType{named("b", 0, "x")}, "", "True", "AliasTaken", `"x" is b's`},
		"an alias of a younger type": {named("a", 0, "x"), []v1alpha1.ProcessType{named("b", 5, "x")}, "", "True", "Accepted", ""},
		"of the same second":         {named("b", 0, "x"), []v1alpha1.ProcessType{named("a", 0, "x")}, "", "True", "AliasTaken", `"x" is a's`},
		"the name of another type":   {named("a", 0, "b"), []v1alpha1.ProcessType{named("b", 5)}, "", "True", "AliasTaken", `"b" is b's`},
	} {
		t.Run(name, func(t *testing.T) {
			got := accept(&test.of, rules.New(&test.of), append(test.others, test.of), test.beyond)
			if got.Status != test.status || got.Reason != test.reason || !strings.Contains(got.Message, test.message) {
				t.Errorf("got %+v, want %s %s with %q", got, test.status, test.reason, test.message)
			}
		})
	}
}

func TestDryRun(t *testing.T) {
	jobs := schema.GroupResource{Group: "batch", Resource: "jobs"}
	for name, test := range map[string]struct {
		answer error
		reason string // of the condition; none is written when there is no answer
		again  time.Duration
	}{
		"created":         {nil, "Accepted", 0},
		"quota":           {apierrors.NewForbidden(jobs, "p", errors.New("exceeded quota")), "Accepted", 0},
		"no dry runs":     {apierrors.NewBadRequest("the webhook does not support dry run"), "Accepted", 0},
		"webhook away":    {apierrors.NewInternalError(errors.New("failed calling webhook")), "Accepted", 0},
		"busy":            {apierrors.NewTooManyRequests("later", 1), "Accepted", 0},
		"invalid":         {apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "p", nil), "InvalidTemplate", time.Minute},
		"no answer comes": {errors.New("connection refused"), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			it := named("a", 0)
			it.Namespace, it.Spec.Image, it.Spec.Command = "work", "i", []string{"/w"}
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&it).WithStatusSubresource(&it).
				WithInterceptorFuncs(interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
					return test.answer
				}}).
				Build()
			r := &Reconciler{Client: c, Rules: &rules.Cache{}}
			// The second time there is nothing to write.
			for range 2 {
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(&it), &it); err != nil {
					t.Fatal(err)
				}
				result, err := r.Reconcile(t.Context(), &it)
				if (err != nil) != (test.reason == "") || result.RequeueAfter != test.again {
					t.Errorf("again in %s, error %v, want %s", result.RequeueAfter, err, test.again)
				}
			}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(&it), &it); err != nil {
				t.Fatal(err)
			}
			reason := ""
			if accepted := meta.FindStatusCondition(it.Status.Conditions, v1alpha1.ConditionAccepted); accepted != nil {
				reason = accepted.Reason
			}
			if reason != test.reason {
				t.Errorf("the reason is %q, want %q", reason, test.reason)
			}
		})
	}
}
