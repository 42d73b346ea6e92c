// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/ledger"
)

func TestCountsAreWrittenIfTheyHaveChanged(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	pt := named("ocr", 0)
	pt.Namespace, pt.Spec.Image = "work", "i"
	patches := 0
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&pt).WithStatusSubresource(&pt).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			patches++
			return c.SubResource(sub).Patch(ctx, o, patch, options...)
		},
	}).Build()
	l := ledger.New(clock.RealClock{}, 0)
	r := &CountReconciler{Client: c, Ledger: l}
	process := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "p", UID: "p"}, Spec: v1alpha1.ProcessSpec{Type: "ocr"}}
	for _, step := range []struct {
		what                      string
		do                        func()
		patches                   int
		queued, running, finished int32
	}{
		{"the ledger is not open", func() { l.Observe(process, false) }, 0, -1, -1, -1},
		{"it is open", l.Open, 1, 1, 0, 0},
		{"nothing has changed", func() {}, 1, 1, 0, 0},
		{"it is launched", func() { l.ObserveJob(client.ObjectKeyFromObject(process), "p", true, false) }, 2, 0, 1, 0},
		{"it is complete", func() { process.Status.State = v1alpha1.StateComplete; l.Observe(process, true) }, 3, 0, 0, 1},
		{"it is deleted", func() { l.Forget(client.ObjectKeyFromObject(process), "p") }, 4, 0, 0, 0},
	} {
		step.do()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(&pt), &pt); err != nil {
			t.Fatal(err)
		}
		if result, err := r.Reconcile(t.Context(), &pt); err != nil || !result.IsZero() {
			t.Errorf("%s: %+v, %v", step.what, result, err)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(&pt), &pt); err != nil {
			t.Fatal(err)
		}
		written := func(n *int32) int32 {
			if n == nil {
				return -1
			}
			return *n
		}
		s := pt.Status
		if patches != step.patches || written(s.Queued) != step.queued || written(s.Running) != step.running || written(s.Finished) != step.finished {
			t.Errorf("%s: after %d patches the status is %+v", step.what, patches, s)
		}
	}
}
