// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/rules"
)

// An output is checked against its type as the type is now. It counts when there is
// nothing to check it against.
func TestCheckOutput(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "work"}, Spec: v1alpha1.ProcessSpec{Type: "t"}}
	delivered := agentapi.Result{Attempt: 2, StartTime: time.Unix(1e9, 0), Output: `{"a":1}`}
	const notAnObject = `{"in":"output","at":"output","expected":{"type":"object"},"message":"the output is not what the type's outputSchema asks for"}`
	for name, test := range map[string]struct {
		exists                    bool
		output, schema, code, why string // output: the delivered one if empty
	}{
		"valid":                         {exists: true, schema: `{"type":"object","properties":{"a":{"type":"integer"}}}`},
		"violated":                      {exists: true, schema: `{"type":"object","properties":{"a":{"type":"string"}}}`, code: "OutputInvalid", why: `{"in":"output","at":"output.a","expected":{"type":"string"},"message":"the output is not what the type's outputSchema asks for"}`},
		"no schema":                     {exists: true},
		"a schema not valid":            {exists: true, schema: `{"type":"objekt"}`},
		"a type deleted":                {},
		"no object, no schema":          {exists: true, output: "[1]", code: "OutputInvalid", why: notAnObject},
		"no object, a schema not valid": {exists: true, schema: `{"type":"objekt"}`, output: "[1]", code: "OutputInvalid", why: notAnObject},
		"no object, a type deleted":     {output: "[1]", code: "OutputInvalid", why: notAnObject},
		"large, a type deleted":         {output: `{"a":"` + strings.Repeat("x", int(v1alpha1.DefaultLimitBytes)) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			builder := fake.NewClientBuilder().WithScheme(scheme)
			if test.exists {
				pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "work"}}
				if test.schema != "" {
					pt.Spec.OutputSchema = &apiextensionsv1.JSON{Raw: []byte(test.schema)}
				}
				builder = builder.WithObjects(pt)
			}
			delivered := delivered
			if test.output != "" {
				delivered.Output = test.output
			}
			want := delivered
			if test.code != "" {
				want.Output, want.ErrorCode, want.ErrorDetails = "", test.code, test.why
			}
			w := &Writer{Client: builder.Build(), Rules: &rules.Cache{}}
			processType, err := w.typeOf(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, w.checkOutput(processType, delivered)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
