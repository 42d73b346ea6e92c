// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// change replaces a Process of the informer by a changed form.
func (f *fixture) change(p *v1alpha1.Process, change func(*v1alpha1.Process)) *v1alpha1.Process {
	p = p.DeepCopy()
	change(p)
	f.cache.Set(p)
	return p
}

func started(p *v1alpha1.Process)   { p.Status.StartTime = metav1.NewTime(epoch) }
func completed(p *v1alpha1.Process) { p.Status.State, p.Status.Output = v1alpha1.StateComplete, "{}" }

func TestQueuePosition(t *testing.T) {
	f := newFixture(t)
	f.echo.Spec.MaxConcurrent = 2
	all := map[string]*v1alpha1.Process{}
	for created, name := range []string{"a", "b", "c", "d", "e"} {
		all[name] = f.known(namespace, name, created)
	}
	all["f"] = f.known(namespace, "f", 4) // in the same second as e
	f.known("other", "a", 0)
	expect := func(what string, want map[string]int) {
		t.Helper()
		f.clock.Step(time.Second) // the age of a queue
		for name, p := range all {
			if got := f.store.QueuePosition(p); got != want[name] {
				t.Errorf("%s: %s has the position %d, want %d", what, name, got, want[name])
			}
		}
	}
	set := func(name string, by func(*v1alpha1.Process)) { all[name] = f.change(all[name], by) }
	expect("none has started", map[string]int{"c": 1, "d": 2, "e": 3, "f": 4})
	set("a", started)
	expect("one has started", map[string]int{"c": 1, "d": 2, "e": 3, "f": 4})
	set("b", started)
	set("a", completed)
	expect("one is complete, the next is admitted", map[string]int{"d": 1, "e": 2, "f": 3})
	f.cache.Delete(all["d"])
	delete(all, "d")
	expect("one is deleted", map[string]int{"e": 1, "f": 2})
	set("c", started)
	f.echo.Spec.MaxConcurrent = 1
	expect("the limit is lowered below what runs", map[string]int{"e": 1, "f": 2})
	f.echo.Spec.MaxConcurrent = 3
	expect("the limit is raised", map[string]int{"f": 1})
	f.echo.Spec.MaxConcurrent = 4
	expect("all have a slot", nil)
	f.echo.Spec.MaxConcurrent = 0
	expect("there is no limit", nil)
	f.echo.Spec.MaxConcurrent = 2
	expect("there is one again", map[string]int{"e": 1, "f": 2})
	if got := f.store.QueuePosition(f.known("other", "b", 1)); got != 0 {
		t.Errorf("a process of a type without a limit has the position %d", got)
	}
}

// What this replica knows before the informer counts too.
func TestQueuePositionBehindADeletedProcess(t *testing.T) {
	f := newFixture(t)
	f.echo.Spec.MaxConcurrent = 1
	first := f.known(namespace, "a", 0)
	second, third := f.known(namespace, "b", 1), f.known(namespace, "c", 2)
	if err := f.live.Create(t.Context(), first.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Delete(t.Context(), keyOf("a")); err != nil {
		t.Fatal(err)
	}
	if b, c := f.store.QueuePosition(second), f.store.QueuePosition(third); b != 0 || c != 1 {
		t.Errorf("the positions are %d and %d, want 0 and 1", b, c)
	}
}

// A queue is sorted out at most once in a second. A process that is newer than
// that is behind it.
func TestQueueIsSortedOutOnceInASecond(t *testing.T) {
	f := newFixture(t)
	f.echo.Spec.MaxConcurrent = 1
	const waiting = 10_000
	running := f.known(namespace, "p00000", 0)
	var last *v1alpha1.Process
	for i := range waiting {
		last = f.known(namespace, fmt.Sprintf("p%05d", i+1), 1)
	}
	if got := f.store.QueuePosition(last); got != waiting {
		t.Errorf("the last one has the position %d, want %d", got, waiting)
	}
	f.change(running, completed)
	f.clock.Step(999 * time.Millisecond)
	newest := f.known(namespace, "q", 1)
	if asked := testing.AllocsPerRun(4000, func() {
		if last, newest := f.store.QueuePosition(last), f.store.QueuePosition(newest); last != waiting || newest != waiting+1 {
			t.Errorf("the positions are %d and %d, want %d and %d", last, newest, waiting, waiting+1)
		}
	}); asked > 0 {
		t.Errorf("a request allocates %g times: the queue is sorted out again", asked)
	}
	f.clock.Step(time.Millisecond)
	if last, newest := f.store.QueuePosition(last), f.store.QueuePosition(newest); last != waiting-1 || newest != waiting {
		t.Errorf("a second later the positions are %d and %d, want %d and %d", last, newest, waiting-1, waiting)
	}
}

func BenchmarkQueuePosition(b *testing.B) {
	f := newFixture(b)
	f.echo.Spec.MaxConcurrent = 1
	var last *v1alpha1.Process
	for i := range 10_000 {
		last = f.known(namespace, fmt.Sprintf("p%05d", i), i/100)
	}
	b.Run("same second", func(b *testing.B) {
		for b.Loop() {
			f.store.QueuePosition(last)
		}
	})
	b.Run("each second", func(b *testing.B) {
		for b.Loop() {
			f.clock.Step(time.Second)
			f.store.QueuePosition(last)
		}
	})
}
