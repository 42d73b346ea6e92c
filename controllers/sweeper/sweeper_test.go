// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package sweeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/store/storetest"
)

// fixture is a Sweeper with the Processes that the cache and the API server have.
type fixture struct {
	*testing.T
	*Sweeper
	objects      *storetest.Directory
	cached, live client.Client
	fails        error // the error of the next live read
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, objects: storetest.New(t), cached: fake.NewClientBuilder().WithScheme(scheme).Build()}
	f.live = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := f.fails; err != nil {
				f.fails = nil
				return err
			}
			return c.Get(ctx, key, o, opts...)
		},
	}).Build()
	f.Sweeper = &Sweeper{Client: f.cached, Live: f.live, Objects: f.objects.Store, Namespace: "work"}
	return f
}

// put writes a payload for a Process with a name.
func (f *fixture) put(name string) v1alpha1.StoredPayload {
	f.Helper()
	stored, err := payload.Put(f.Context(), f.objects.Store, process(name, v1alpha1.StoredPayload{}), []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	return stored
}

func process(name string, input v1alpha1.StoredPayload) *v1alpha1.Process {
	return &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: name}, Spec: v1alpha1.ProcessSpec{StoredInput: input}}
}

// add adds a Process to some clients.
func (f *fixture) add(p *v1alpha1.Process, to ...client.Client) {
	f.Helper()
	for _, c := range to {
		if err := c.Create(f.Context(), p.DeepCopy()); err != nil {
			f.Fatal(err)
		}
	}
}

// left sweeps some times, and returns the names of the Processes whose payloads are left.
func (f *fixture) left(times int) []string {
	f.Helper()
	for range times {
		if _, err := f.sweep(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
	var names []string
	for _, key := range slices.Sorted(maps.Keys(f.objects.Files())) {
		names = append(names, strings.Split(key, "/")[2])
	}
	return names
}

// Only payloads without an owner are deleted, in the second sweep that finds none.
func TestSweep(t *testing.T) {
	f := newFixture(t)
	f.add(process("input", f.put("input")), f.cached, f.live)
	output := process("output", v1alpha1.StoredPayload{})
	output.Status.State, output.Status.StoredOutput = v1alpha1.StateComplete, f.put("output")
	f.add(output, f.cached, f.live)
	f.put("never-created")
	f.add(process("other-payload", f.put("other-payload")), f.cached, f.live)
	f.put("other-payload") // a second one, to which the Process does not refer
	f.add(process("not-in-the-cache", f.put("not-in-the-cache")), f.live)
	if diff := cmp.Diff([]string{"input", "never-created", "not-in-the-cache", "other-payload", "other-payload", "output"}, f.left(1)); diff != "" {
		t.Errorf("after one sweep (-want +got):\n%s", diff)
	}
	held := []string{"input", "not-in-the-cache", "other-payload", "output"}
	if diff := cmp.Diff(held, f.left(1)); diff != "" {
		t.Errorf("after two sweeps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(held, f.left(3)); diff != "" {
		t.Errorf("after five sweeps (-want +got):\n%s", diff)
	}
	if err := f.cached.Delete(t.Context(), process("input", v1alpha1.StoredPayload{})); err != nil {
		t.Fatal(err)
	}
	if err := f.live.Delete(t.Context(), process("input", v1alpha1.StoredPayload{})); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(held[1:], f.left(2)); diff != "" {
		t.Errorf("after the end of a process (-want +got):\n%s", diff)
	}
}

// A payload whose Process is created between two sweeps stays, even if the cache does not
// have the Process yet.
func TestProcessIsCreatedLater(t *testing.T) {
	f := newFixture(t)
	stored := f.put("late")
	f.left(1)
	f.add(process("late", stored), f.live)
	if diff := cmp.Diff([]string{"late"}, f.left(1)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A sweep that failed deletes the rest the next time, and nothing too early.
func TestSweepFails(t *testing.T) {
	f := newFixture(t)
	for i := range 20 {
		f.put(fmt.Sprint("orphan-", i))
	}
	f.left(1)
	f.fails = errors.New("the API server is away")
	if _, err := f.sweep(t.Context()); err == nil {
		t.Error("the sweep has no error")
	}
	if left := f.left(1); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
}

// Other keys in the bucket, and those of other namespaces, are not touched.
func TestOthersAreNotTouched(t *testing.T) {
	f := newFixture(t)
	keys := []string{"other/work/p/a", "processes/elsewhere/p/a", "processes/work/p", "processes/work/p/a/b"}
	for _, key := range keys {
		if err := f.objects.Put(t.Context(), key, []byte("x")); err != nil && !strings.HasSuffix(key, "/b") {
			t.Fatal(err)
		}
	}
	before := f.objects.Files()
	for range 3 {
		if _, err := f.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, f.objects.Files()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
