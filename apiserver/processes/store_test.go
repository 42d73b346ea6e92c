// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/apiserver/processid"
	"procman.dev/procman/internal/store/storetest"
	"procman.dev/procman/internal/wire"
	"procman.dev/procman/test/fakeapi"
)

const namespace = "work"

var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// fixture is a Store with all that it uses.
type fixture struct {
	testing.TB
	store   *processes.Store
	cache   *processes.Cache // what the informer knows
	live    *fakeapi.Server  // what the API server has
	objects *storetest.Directory
	ring    *processid.Ring
	clock   *testingclock.FakeClock
	echo    *v1alpha1.ProcessType
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	ring, err := processid.NewRing([]byte(strings.Repeat("k", processid.MinKeyBytes)))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		TB: t, cache: processes.NewCache(), ring: ring, clock: testingclock.NewFakeClock(epoch.Add(250 * time.Millisecond)),
		echo: &v1alpha1.ProcessType{
			ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: namespace},
			Spec:       v1alpha1.ProcessTypeSpec{LifetimeSeconds: 60},
		},
	}
	f.live, f.objects = fakeapi.New(t, f.clock), storetest.New(t)
	f.store = processes.NewStore(processes.Config{Cache: f.cache, Live: f.live, Ring: keyring.Fixed(ring), Objects: f.objects.Store, Clock: f.clock, MaxConcurrent: func(typeName types.NamespacedName) int {
		if typeName == (types.NamespacedName{Namespace: namespace, Name: "echo"}) {
			return int(f.echo.Spec.MaxConcurrent)
		}
		return 0
	}})
	return f
}

// sent opens, sends and closes a body.
func (f *fixture) sent(body *processes.Body) string {
	f.Helper()
	defer body.Close()
	var b strings.Builder
	if err := errors.Join(body.Open(f.Context()), body.Send(f.Context(), &b)); err != nil {
		f.Fatal(err)
	}
	if int64(b.Len()) != body.Bytes() {
		f.Errorf("%d bytes are announced and %d sent", body.Bytes(), b.Len())
	}
	return b.String()
}

// keyed creates a process with the idempotency key "key".
func (f *fixture) keyed(input string) (*v1alpha1.Process, error) {
	return f.store.Create(f.Context(), processes.Submission{Type: f.echo, Input: []byte(input), IdempotencyKey: "key"})
}

// mustKeyed is keyed for a create with the input {} that has to succeed.
func (f *fixture) mustKeyed() *v1alpha1.Process {
	f.Helper()
	p, err := f.keyed(`{}`)
	if err != nil {
		f.Fatal(err)
	}
	return p
}

// wantError checks the error of a call.
func (f *fixture) wantError(got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Errorf("the error is %v, want %v", got, want)
	}
}

func (f *fixture) find(id string) (*v1alpha1.Process, error) {
	return f.store.Find(f.Context(), keyOf(id))
}

func keyOf(id string) processes.Key {
	return processes.Key{Namespace: namespace, Type: "echo", ID: id}
}

// count returns how many Processes the API server has.
func (f *fixture) count() int {
	f.Helper()
	var all v1alpha1.ProcessList
	if err := f.live.List(f.Context(), &all); err != nil {
		f.Fatal(err)
	}
	return len(all.Items)
}

// known adds to the informer a Process of type echo, created some seconds after the epoch.
func (f *fixture) known(ns, name string, created int) *v1alpha1.Process {
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: ns, UID: types.UID(ns + "-" + name), CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(created) * time.Second)),
		},
		Spec: v1alpha1.ProcessSpec{Type: "echo", LifetimeSeconds: 60, Input: `{"in":"` + ns + `"}`},
	}
	f.cache.Set(p)
	return p
}

// An id is an id only in its own namespace and for its own type, and costs the API server
// nothing elsewhere. Processes of the same name in two namespaces are two processes.
func TestNamespacesAreSeparate(t *testing.T) {
	f := newFixture(t)
	id := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
	for name, key := range map[string]processes.Key{
		"another namespace": {Namespace: "other", Type: "echo", ID: id}, "another type": {Namespace: namespace, Type: "ocr", ID: id},
	} {
		_, err := f.store.Find(t.Context(), key)
		f.wantError(err, processes.ErrNotFound)
		f.clock.Step(time.Hour)
		_, err = f.store.Find(t.Context(), key)
		f.wantError(err, processes.ErrNotFound)
		f.clock.Step(-time.Hour)
		if f.live.Gets.Load() != 0 {
			t.Errorf("%s: %d live reads, want none", name, f.live.Gets.Load())
		}
	}
	f.known(namespace, "same", 0)
	f.known("other", "same", 0)
	for _, ns := range []string{namespace, "other"} {
		p, err := f.store.Find(t.Context(), processes.Key{Namespace: ns, Type: "echo", ID: "same"})
		if err != nil || p.Namespace != ns {
			t.Errorf("in %s: %v, %v", ns, p, err)
		}
		page, err := f.store.List(t.Context(), types.NamespacedName{Namespace: ns, Name: "echo"}, processes.Query{Limit: 9, After: processes.Newest, Show: wire.All})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("in %s: the list is %v, %v", ns, page.Items, err)
		}
		if text := f.sent(page.Items[0]); !strings.Contains(text, `"input":{"in":"`+ns+`"}`) {
			t.Errorf("in %s: the list has %s", ns, text)
		}
		page.Close()
	}
	watch := f.store.Watch(processes.Key{Namespace: namespace, Type: "echo", ID: "same"})
	defer watch.Stop()
	f.known("other", "same", 0)
	select {
	case <-watch.Changed:
		t.Error("a change in another namespace is reported")
	default:
	}
}

// A list continues behind the last process of a page, whatever happened to it.
func TestListContinues(t *testing.T) {
	f := newFixture(t)
	for i := range 7 {
		f.known(namespace, fmt.Sprintf("p%d", i), i/2)
	}
	typeName := types.NamespacedName{Namespace: namespace, Name: "echo"}
	q := processes.Query{Limit: 3, After: processes.Newest}
	var got []string
	for page := range 3 {
		p, err := f.store.List(t.Context(), typeName, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range p.Items {
			got = append(got, strings.Split(f.sent(item), `"`)[3])
		}
		p.Close()
		if p.More != (page < 2) {
			t.Errorf("page %d: more is %t", page, p.More)
		}
		token := p.Next.Token()
		next, ok := processes.ParsePosition(token)
		if !ok || !next.Created.Equal(p.Next.Created) || next.Name != p.Next.Name {
			t.Fatalf("the token %s of %v is read as %v, %t", token, p.Next, next, ok)
		}
		q.After = next
		f.cache.Delete(f.known(namespace, next.Name, int(next.Created.Sub(epoch)/time.Second)))
	}
	if want := "p6 p5 p4 p3 p2 p1 p0"; strings.Join(got, " ") != want {
		t.Errorf("the list has %v, want %s", got, want)
	}
}

// A wait ends when the process is terminal, when the time is over, or when the caller
// wants no more; and never makes a call for a process that the cache has.
func TestAwait(t *testing.T) {
	terminal := func(f *fixture, p *v1alpha1.Process) {
		p = p.DeepCopy()
		p.Status.State = v1alpha1.StateComplete
		f.cache.Set(p)
	}
	for name, tc := range map[string]struct {
		happens  func(f *fixture, p *v1alpha1.Process, stop, cancel func())
		finished bool
		err      error
	}{
		"terminal":   {func(f *fixture, p *v1alpha1.Process, _, _ func()) { terminal(f, p) }, true, nil},
		"time":       {func(f *fixture, _ *v1alpha1.Process, _, _ func()) { f.clock.Step(10 * time.Second) }, false, nil},
		"stop":       {func(_ *fixture, _ *v1alpha1.Process, stop, _ func()) { stop() }, false, nil},
		"disconnect": {func(_ *fixture, _ *v1alpha1.Process, _, cancel func()) { cancel() }, false, nil},
		"deleted":    {func(f *fixture, p *v1alpha1.Process, _, _ func()) { f.cache.Delete(p) }, false, processes.ErrNotFound},
		"expired":    {func(f *fixture, _ *v1alpha1.Process, _, _ func()) { f.clock.Step(time.Hour) }, false, processes.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			p := f.known(namespace, f.ring.New(namespace, "echo", epoch.Add(time.Minute)), 0)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop := make(chan struct{})
			type result struct {
				p   *v1alpha1.Process
				err error
			}
			done := make(chan result, 1)
			go func() {
				got, err := f.store.Await(ctx, p, 10*time.Second, stop)
				done <- result{got, err}
			}()
			for !f.clock.HasWaiters() {
				<-time.After(time.Millisecond)
			}
			tc.happens(f, p, func() { close(stop) }, cancel)
			got := <-done
			if !errors.Is(got.err, tc.err) || tc.err == nil && got.p.Finished() != tc.finished {
				t.Errorf("got %v, %v", got.p, got.err)
			}
			if f.live.Gets.Load() != 0 || f.clock.HasWaiters() {
				t.Errorf("%d live reads, a timer is left: %t", f.live.Gets.Load(), f.clock.HasWaiters())
			}
		})
	}
}
