// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package payload_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
)

// text is a payload of n bytes.
func text(n int) string { return strings.Repeat("x", n) }

func TestTransform(t *testing.T) {
	const (
		small = payload.MaxInlineBytes
		large = small + 1
	)
	tests := map[string]struct {
		policy                      payload.Policy
		state                       v1alpha1.State
		input, output, errorDetails string
		want                        [3]string
	}{
		"the facade keeps what is small":           {payload.KeepSmall, v1alpha1.StateComplete, text(small), text(small), text(small), [3]string{text(small), text(small), text(small)}},
		"the facade omits what is large":           {payload.KeepSmall, v1alpha1.StateComplete, text(large), text(large), text(large), [3]string{"~16385", "~16385", "~16385"}},
		"what is absent stays absent":              {payload.KeepSmall, v1alpha1.StateProcessing, "{}", "", "", [3]string{"{}", "", ""}},
		"the operator keeps small inputs":          {payload.KeepSmallInputs, v1alpha1.StateProcessing, text(small), "", "", [3]string{text(small), "", ""}},
		"the operator omits large inputs":          {payload.KeepSmallInputs, v1alpha1.StateProcessing, text(large), "", "", [3]string{"~16385", "", ""}},
		"the operator omits inputs that were used": {payload.KeepSmallInputs, v1alpha1.StateComplete, "{}", "{}", "", [3]string{"~2", "~2", ""}},
		"the operator omits details":               {payload.KeepSmallInputs, v1alpha1.StateError, "{}", "", "{}", [3]string{"~2", "", "~2"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.Process{
				ObjectMeta: metav1.ObjectMeta{
					ManagedFields: []metav1.ManagedFieldsEntry{{}},
					Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "x", "other": "y", v1alpha1.AnnotationIdempotencyKey: "z"},
					Labels:        map[string]string{"other": "y"},
				},
				Spec:   v1alpha1.ProcessSpec{Input: tc.input},
				Status: v1alpha1.ProcessStatus{State: tc.state, Output: tc.output, ErrorDetails: tc.errorDetails},
			}
			if _, err := tc.policy.Transform()(p); err != nil {
				t.Fatal(err)
			}
			if got := [3]string{p.Spec.Input, p.Status.Output, p.Status.ErrorDetails}; got != tc.want {
				t.Errorf("payloads of %d, %d and %d bytes are left", len(got[0]), len(got[1]), len(got[2]))
			}
			if diff := cmp.Diff(metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationIdempotencyKey: "z"}}, p.ObjectMeta); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
	if got, err := payload.Policy(payload.KeepSmall).Transform()("no Process"); got != "no Process" || err != nil {
		t.Errorf("an object of another kind becomes %v, %v", got, err)
	}
}

// The size of a payload is known also when it was left out, however often it was trimmed.
func TestBytes(t *testing.T) {
	p := &v1alpha1.Process{Spec: v1alpha1.ProcessSpec{Input: text(20_000)}}
	for range 2 {
		payload.Policy(payload.KeepSmall).Trim(p)
		payload.Policy(func(*v1alpha1.Process) payload.Limits { return payload.Limits{} }).Trim(p)
		if !payload.IsOmitted(p.Spec.Input) || payload.Bytes(p.Spec.Input) != 20_000 {
			t.Errorf("the input is %.20q, of %d bytes", p.Spec.Input, payload.Bytes(p.Spec.Input))
		}
	}
	for input, want := range map[string]int{"": 0, "{}": 2, "~": 1, "~x": 2} { // the last two were made with kubectl
		if got := payload.Bytes(input); got != want {
			t.Errorf("%q has %d bytes, want %d", input, got, want)
		}
	}
}

// liveProcess returns a client that has one Process, and counts its reads.
func liveProcess(t *testing.T, uid types.UID, reads *[]string) client.Reader {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "work", UID: uid}, Spec: v1alpha1.ProcessSpec{Input: `{"a":1}`}}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(p).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			*reads = append(*reads, (&client.GetOptions{}).ApplyOptions(opts).Raw.ResourceVersion)
			return c.Get(ctx, key, obj)
		},
	}).Build()
}

func TestInlineInput(t *testing.T) {
	cached := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "work", UID: "1", ResourceVersion: "7"}}
	for name, tc := range map[string]struct {
		input string
		uid   types.UID // of the Process that the API server has
		want  string
		reads []string // the oldest resource version that each read allows
		gone  bool
	}{
		"inline":                    {input: `{"b":2}`, uid: "1", want: `{"b":2}`},
		"absent":                    {uid: "1", want: `{}`},
		"omitted":                   {input: "~7", uid: "1", want: `{"a":1}`, reads: []string{"7"}},
		"another Process's by name": {input: "~7", uid: "2", reads: []string{"7"}, gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			var reads []string
			p := cached.DeepCopy()
			p.Spec.Input = tc.input
			got, err := payload.InlineInput(t.Context(), liveProcess(t, tc.uid, &reads), p)
			if got != tc.want || apierrors.IsNotFound(err) != tc.gone || (err != nil) != tc.gone {
				t.Errorf("InlineInput = %q, %v, want %q", got, err, tc.want)
			}
			if diff := cmp.Diff(tc.reads, reads); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
		})
	}
	var reads []string
	p := cached.DeepCopy()
	p.Name = "other"
	if _, err := payload.Read(t.Context(), liveProcess(t, "1", &reads), p); !apierrors.IsNotFound(err) {
		t.Errorf("Read of a Process that is gone: %v, want a NotFound", err)
	}
}
