// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
)

// queue adds processes that wait and processes that have started, all created at the epoch.
// The starts are one second apart, from the next second on.
func (f *fixture) queue(waiting, starts int) {
	lives := func(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = f.echo.Spec.LifetimeSeconds }
	for i := range waiting {
		f.change(f.known(namespace, fmt.Sprintf("waits-%04d", i), 0), lives)
	}
	for i := range starts {
		f.change(f.known(namespace, fmt.Sprintf("started-%04d", i), 0), func(p *v1alpha1.Process) {
			lives(p)
			p.Status.StartTime = metav1.NewTime(epoch.Add(time.Duration(i+1) * time.Second))
			if i%2 == 0 {
				completed(p)
			}
		})
	}
}

// A POST is refused if its process would wait longer than its lifetime allows. After
// Retry-After it is accepted, if the queue has moved as it did before.
func TestExpectedWait(t *testing.T) {
	for name, test := range map[string]struct {
		lifetime, timeout int32
		waiting, starts   int
		after             time.Duration // since the epoch
		retryAfter        time.Duration // 0: the POST is accepted
	}{
		"nobody waits":                       {600, 60, 0, 10, 20 * time.Second, 0},
		"they wait, but not long":            {600, 60, 499, 10, 10 * time.Second, 0},
		"they wait too long":                 {600, 60, 599, 10, 10 * time.Second, 60 * time.Second},
		"half of the lifetime may be waited": {600, 590, 299, 10, 10 * time.Second, 0},
		"more than half":                     {600, 590, 319, 10, 10 * time.Second, 20 * time.Second},
		"few starts in a short time":         {60, 0, 1000, 2, 50 * time.Second, 0},
		"few starts in a long time":          {600, 0, 19, 2, 80 * time.Second, 200 * time.Second},
		"none has started for a minute":      {600, 0, 19, 0, 60 * time.Second, 600 * time.Second},
		"hours":                              {600, 0, 5000, 0, 60 * time.Second, 600 * time.Second},
		"old starts do not count":            {3600, 0, 6, 500, 20 * time.Minute, 600 * time.Second},
		"those that expired do not wait":     {100, 0, 600, 10, 100 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.echo.Spec.LifetimeSeconds, f.echo.Spec.TimeoutSeconds = test.lifetime, test.timeout
			f.queue(test.waiting, test.starts)
			f.clock.SetTime(epoch.Add(test.after))
			_, err := f.store.Create(t.Context(), processes.Submission{Type: f.echo, Input: []byte(`{}`)})
			busy, refused := errors.AsType[*processes.BusyError](err)
			switch {
			case test.retryAfter == 0 && err != nil:
				t.Errorf("refused: %v", err)
			case test.retryAfter > 0 && (!refused || busy.RetryAfter != test.retryAfter || busy.Message == ""):
				t.Errorf("the error is %#v, want to try again after %s", err, test.retryAfter)
			}
		})
	}
}

// Other types, and the same name in another namespace, have queues of their own.
func TestExpectedWaitOfOthers(t *testing.T) {
	f := newFixture(t)
	for i := range 1000 {
		f.known("other", fmt.Sprintf("waits-%04d", i), 0)
	}
	f.clock.Step(2 * time.Minute)
	if _, err := f.store.Create(t.Context(), processes.Submission{Type: f.echo, Input: []byte(`{}`)}); err != nil {
		t.Error(err)
	}
}
