// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"procman.dev/procman/api/v1alpha1"
)

var (
	start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	typeT = key("t")
)

func key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "work", Name: name}
}

func opened() (*Ledger, *clocktesting.FakePassiveClock) {
	c := clocktesting.NewFakePassiveClock(start)
	l := New(c, 0)
	l.Open()
	return l, c
}

// newProcess returns a Process of type "t", created some seconds after the start.
func newProcess(name string, seconds int) *v1alpha1.Process {
	return &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "work", Name: name, UID: types.UID("uid-" + name),
			CreationTimestamp: metav1.NewTime(start.Add(time.Duration(seconds) * time.Second)),
		},
		Spec: v1alpha1.ProcessSpec{Type: "t"},
	}
}

// with returns a changed copy.
func with(p *v1alpha1.Process, change func(*v1alpha1.Process)) *v1alpha1.Process {
	p = p.DeepCopy()
	change(p)
	return p
}

func complete(p *v1alpha1.Process) { p.Status.State = v1alpha1.StateComplete }
func deleting(p *v1alpha1.Process) { p.DeletionTimestamp = new(metav1.NewTime(start)) }

// names returns the names of keys; all are in one namespace.
func names(keys []types.NamespacedName) string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.Name
	}
	return strings.Join(all, " ")
}

// admittedOf returns those of the names that are admitted.
func admittedOf(l *Ledger, all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(name string) bool { return !l.Admitted(key(name), types.UID("uid-"+name)) }), " ")
}

func TestAdmission(t *testing.T) {
	type step struct {
		what     string
		do       func(l *Ledger) []types.NamespacedName
		admitted string
	}
	observe := func(p *v1alpha1.Process, admitted string) step {
		return step{"observe " + p.Name, func(l *Ledger) []types.NamespacedName { return l.Observe(p, false) }, admitted}
	}
	launched := func(p *v1alpha1.Process, admitted string) step {
		return step{"observe launched " + p.Name, func(l *Ledger) []types.NamespacedName { return l.Observe(p, true) }, admitted}
	}
	register := func(maxConcurrent int, admitted string) step {
		return step{fmt.Sprint("register ", maxConcurrent), func(l *Ledger) []types.NamespacedName { return l.Register(typeT, maxConcurrent) }, admitted}
	}
	forget := func(p *v1alpha1.Process, admitted string) step {
		return step{"forget " + p.Name, func(l *Ledger) []types.NamespacedName { return l.Forget(key(p.Name), p.UID) }, admitted}
	}
	unregister := func(unlaunched string) step {
		return step{"unregister", func(l *Ledger) []types.NamespacedName { return l.Unregister(typeT) }, unlaunched}
	}
	job := func(p *v1alpha1.Process, exists bool) step {
		return step{fmt.Sprintf("Job of %s: %t", p.Name, exists), func(l *Ledger) []types.NamespacedName {
			l.ObserveJob(key(p.Name), p.UID, exists, false)
			return nil
		}, ""}
	}
	a, b, c, d := newProcess("a", 0), newProcess("b", 1), newProcess("c", 2), newProcess("d", 2)
	successor := with(a, func(p *v1alpha1.Process) { p.UID = "another" })
	for name, test := range map[string]struct {
		steps    []step
		admitted string
	}{
		"no limit":                        {[]step{register(0, ""), observe(a, "a"), observe(b, "b"), observe(c, "c")}, "a b c"},
		"up to the limit":                 {[]step{register(2, ""), observe(a, "a"), observe(b, "b"), observe(c, "")}, "a b"},
		"a terminal one frees its slot":   {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(with(a, complete), "b")}, "b"},
		"a deleted one frees its slot":    {[]step{register(1, ""), observe(a, "a"), observe(b, ""), forget(a, "b")}, "b"},
		"so does one being deleted":       {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(with(a, deleting), "b")}, "b"},
		"a slot is freed only once":       {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), observe(with(a, complete), "b"), forget(a, "")}, "b"},
		"oldest first, then by name":      {[]step{register(1, ""), observe(a, "a"), observe(d, ""), observe(c, ""), observe(b, ""), forget(a, "b"), forget(b, "c"), forget(c, "d")}, "d"},
		"one in the queue is deleted":     {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), forget(b, ""), forget(a, "c")}, "c"},
		"the limit rises":                 {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), observe(d, ""), register(3, "b c")}, "a b c"},
		"the limit is removed":            {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), register(0, "b c")}, "a b c"},
		"the limit falls":                 {[]step{register(2, ""), observe(a, "a"), observe(b, "b"), observe(c, ""), register(1, ""), forget(a, ""), forget(b, "c")}, "c"},
		"the same event again":            {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(a, ""), observe(b, ""), launched(a, "")}, "a"},
		"launched by another leader":      {[]step{register(1, ""), launched(a, ""), launched(b, ""), observe(c, ""), forget(a, ""), forget(b, "c")}, "c"},
		"the type is created later":       {[]step{observe(a, ""), observe(b, ""), register(1, "a")}, "a"},
		"the type is deleted":             {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(c, ""), job(a, true), unregister("b c"), forget(a, "")}, ""},
		"the type is deleted, no Job yet": {[]step{register(1, ""), observe(a, "a"), observe(b, ""), unregister("a b")}, "a"},
		"another with the same name":      {[]step{register(1, ""), observe(a, "a"), observe(b, ""), observe(successor, "b")}, "b"},
		"the end of an earlier one":       {[]step{register(1, ""), observe(successor, "a"), observe(b, ""), forget(a, "")}, ""},
		"its Job is seen late":            {[]step{register(1, ""), observe(a, "a"), observe(b, ""), job(b, true), observe(c, ""), forget(a, ""), forget(b, "c")}, "c"},
		"the Job of another one":          {[]step{register(1, ""), observe(a, "a"), observe(b, ""), job(with(b, func(p *v1alpha1.Process) { p.UID = "another" }), true)}, "a"},
		"its Job is deleted":              {[]step{register(1, ""), observe(a, "a"), job(a, true), observe(b, ""), job(a, false)}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := opened()
			for i, s := range test.steps {
				if got := names(s.do(l)); got != s.admitted {
					t.Errorf("step %d, %s: it admits %q, want %q", i, s.what, got, s.admitted)
				}
			}
			if got := admittedOf(l, "a", "b", "c", "d"); got != test.admitted {
				t.Errorf("admitted are %q, want %q", got, test.admitted)
			}
		})
	}
}

func TestNothingIsAdmittedBeforeOpen(t *testing.T) {
	l := New(clocktesting.NewFakePassiveClock(start), 0)
	young, old, oldest := newProcess("young", 9), newProcess("old", 1), newProcess("oldest", 0)
	if keys := slices.Concat(l.Register(typeT, 2), l.Observe(young, false), l.Observe(old, false), l.Observe(oldest, true)); len(keys) > 0 {
		t.Errorf("it admits %q", names(keys))
	}
	if got := admittedOf(l, "young", "old", "oldest"); got != "oldest" {
		t.Errorf("admitted are %q, want only the one with a Job", got)
	}
	if c, ok := l.Counts(typeT); ok {
		t.Errorf("incomplete counts: %v", c)
	}
	l.Open()
	if got := admittedOf(l, "young", "old", "oldest"); got != "old oldest" {
		t.Errorf("admitted are %q, want old oldest", got)
	}
}

// Two tenants can have types, and processes, with the same name.
func TestNamespacesShareNothing(t *testing.T) {
	l, _ := opened()
	here, there := newProcess("p", 0), with(newProcess("p", 0), func(p *v1alpha1.Process) { p.Namespace = "other" })
	second := newProcess("q", 1)
	otherT := types.NamespacedName{Namespace: "other", Name: "t"}
	l.Register(typeT, 1)
	l.Register(otherT, 1)
	l.Observe(here, true)
	l.Observe(second, false)
	if keys := l.Observe(there, false); !slices.Equal(keys, []types.NamespacedName{{Namespace: "other", Name: "p"}}) {
		t.Errorf("it admits %v: the slot of one type was used by the other", keys)
	}
	counts := func(k types.NamespacedName) Counts {
		c, _ := l.Counts(k)
		return c
	}
	if here, there := counts(typeT), counts(otherT); here != (Counts{Queued: 1, Running: 1}) || there != (Counts{Queued: 1}) {
		t.Errorf("the counts are %+v and %+v", here, there)
	}
	if keys := l.Forget(types.NamespacedName{Namespace: "other", Name: "p"}, there.UID); len(keys) > 0 {
		t.Errorf("it admits %v in the other namespace", keys)
	}
	if keys := l.Unregister(otherT); len(keys) > 0 {
		t.Errorf("the deletion of the other type concerns %v", keys)
	}
	if !l.WithoutTypeSince(second).Equal(second.CreationTimestamp.Time) {
		t.Error("the type of work/q counts as deleted")
	}
	if keys := l.Forget(key("p"), here.UID); names(keys) != "q" {
		t.Errorf("it admits %v, want q", keys)
	}
}

func TestCounts(t *testing.T) {
	l, _ := opened()
	l.Register(typeT, 1)
	changed := 0
	l.OnCountsChanged(func(k types.NamespacedName) {
		if k == typeT {
			changed++
		}
	})
	a, b := newProcess("a", 0), newProcess("b", 1)
	job := func(name string, exists bool) func() {
		return func() { l.ObserveJob(key(name), types.UID("uid-"+name), exists, false) }
	}
	observe := func(p *v1alpha1.Process) func() { return func() { l.Observe(p, false) } }
	for _, step := range []struct {
		what string
		do   func()
		want Counts
	}{
		{"two are created, one is admitted", func() { l.Observe(a, false); l.Observe(b, false) }, Counts{Queued: 2}},
		{"one of another type", observe(with(newProcess("c", 0), func(p *v1alpha1.Process) { p.Spec.Type = "echo" })), Counts{Queued: 2}},
		{"one is launched", job("a", true), Counts{Queued: 1, Running: 1}},
		{"it makes progress", observe(with(a, func(p *v1alpha1.Process) { p.Status.PercentComplete = new(int32(5)) })), Counts{Queued: 1, Running: 1}},
		{"a person deletes its Job", job("a", false), Counts{Queued: 2}},
		{"it is launched again", job("a", true), Counts{Queued: 1, Running: 1}},
		{"it completes", observe(with(a, complete)), Counts{Queued: 1, Finished: 1}},
		{"the same event again", observe(with(a, complete)), Counts{Queued: 1, Finished: 1}},
		{"its Job is deleted", job("a", false), Counts{Queued: 1, Finished: 1}},
		{"a Job is known before its Process", func() { l.Observe(newProcess("d", 3), true) }, Counts{Queued: 1, Running: 1, Finished: 1}},
		{"it is deleted", func() { l.Forget(key("d"), "uid-d") }, Counts{Queued: 1, Finished: 1}},
		{"the terminal one expires", func() { l.Forget(key("a"), "uid-a") }, Counts{Queued: 1}},
		{"the last one is deleted", func() { l.Forget(key("b"), "uid-b") }, Counts{}},
	} {
		before, _ := l.Counts(typeT)
		changed = 0
		step.do()
		got, ok := l.Counts(typeT)
		if got != step.want || !ok {
			t.Errorf("%s: got %+v, want %+v", step.what, got, step.want)
		}
		if got != before && changed == 0 {
			t.Errorf("%s: OnCountsChanged was not called", step.what)
		}
	}
	l.Unregister(typeT)
	if len(l.processes) != 1 || len(l.types) != 1 {
		t.Errorf("it keeps the record of what was deleted: %d processes, %d types", len(l.processes), len(l.types))
	}
}

func TestOpenReportsTheCounts(t *testing.T) {
	l := New(clocktesting.NewFakePassiveClock(start), 0)
	l.Register(typeT, 0)
	var changed []types.NamespacedName
	l.OnCountsChanged(func(k types.NamespacedName) { changed = append(changed, k) })
	l.Open()
	if !slices.Contains(changed, typeT) {
		t.Errorf("the counts of %v have changed", changed)
	}
}

func TestWithoutTypeSince(t *testing.T) {
	l, c := opened()
	p := newProcess("p", 10)
	l.Register(typeT, 0)
	l.Observe(p, false)
	since := func(want time.Time, what string) {
		t.Helper()
		if got := l.WithoutTypeSince(p); !got.Equal(want) {
			t.Errorf("%s: since %s, want %s", what, got, want)
		}
	}
	since(p.CreationTimestamp.Time, "the type exists")
	c.SetTime(start.Add(time.Minute))
	l.Unregister(typeT)
	since(start.Add(time.Minute), "the type was deleted after the process was created")
	l.Register(typeT, 0)
	since(p.CreationTimestamp.Time, "the type exists again")
	c.SetTime(start)
	l.Unregister(typeT)
	since(p.CreationTimestamp.Time, "the type was deleted before the process was created")
}

func TestUnlaunched(t *testing.T) {
	l, _ := opened()
	l.Register(typeT, 2)
	l.Observe(newProcess("running", 0), true)
	l.Observe(newProcess("admitted", 1), false)
	l.Observe(newProcess("waiting", 2), false)
	l.Observe(with(newProcess("terminal", 0), complete), true)
	if diff := cmp.Diff("admitted waiting", names(l.Unlaunched(typeT))); diff != "" {
		t.Error(diff)
	}
	if keys := l.Unlaunched(key("unknown")); len(keys) > 0 {
		t.Errorf("an unknown type has %v", keys)
	}
}
