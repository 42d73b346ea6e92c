// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package statuspatch_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/statuspatch"
)

func TestPatch(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "processes"}, "p", errors.New("precondition failed"))
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Process"}, "p", nil)

	for name, test := range map[string]struct {
		apply  func(context.Context, client.StatusClient, client.Object, any) error
		status any
		answer error
		body   string
		want   func(error) bool
	}{
		"a field":                {statuspatch.Apply, map[string]any{"percentComplete": 5}, nil, `{"metadata":{"uid":"the-uid"},"status":{"percentComplete":5}}`, nil},
		"a field is removed":     {statuspatch.Apply, map[string]any{"stderr": nil}, nil, `{"metadata":{"uid":"the-uid"},"status":{"stderr":null}}`, nil},
		"another object":         {statuspatch.Apply, map[string]any{}, conflict, `{"metadata":{"uid":"the-uid"},"status":{}}`, apierrors.IsNotFound},
		"refused by the schema":  {statuspatch.Apply, map[string]any{}, invalid, `{"metadata":{"uid":"the-uid"},"status":{}}`, apierrors.IsInvalid},
		"locked":                 {statuspatch.ApplyLocked, map[string]any{"a": 1}, nil, `{"metadata":{"uid":"the-uid","resourceVersion":"7"},"status":{"a":1}}`, nil},
		"locked, but it changed": {statuspatch.ApplyLocked, map[string]any{}, conflict, `{"metadata":{"uid":"the-uid","resourceVersion":"7"},"status":{}}`, apierrors.IsConflict},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			c := interceptor.NewClient(nil, interceptor.Funcs{
				SubResourcePatch: func(_ context.Context, _ client.Client, subresource string, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
					body, err := p.Data(o)
					if err != nil || subresource != "status" || p.Type() != types.MergePatchType || o.GetName() != "p" || o.GetNamespace() != "work" {
						t.Errorf("%s patch of %s/%s/%s: %v", p.Type(), o.GetNamespace(), o.GetName(), subresource, err)
					}
					got = string(body)
					o.SetResourceVersion("8") // as a client does with the answer
					return test.answer
				},
			})
			p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "p", UID: "the-uid", ResourceVersion: "7"}}
			err := test.apply(t.Context(), c, p, test.status)
			if (err == nil) != (test.want == nil) || (err != nil && !test.want(err)) {
				t.Errorf("unexpected error %v", err)
			}
			if diff := cmp.Diff(test.body, got); diff != "" {
				t.Error(diff)
			}
			if p.ResourceVersion != "7" {
				t.Error("the object of the caller was changed")
			}
		})
	}
}
