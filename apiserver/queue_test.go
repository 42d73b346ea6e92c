// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// queued returns the body of "mine" at a position.
func queued(position int) string {
	return strings.TrimSuffix(mineProcessing, "}") + fmt.Sprintf(`,"queuePosition":%d}`, position)
}

// newQueue returns a facade with a type echo of which one process runs at a time, and some
// processes in its queue before "mine".
func newQueue(t *testing.T, before int) *facade {
	t.Helper()
	f := newFacade(t)
	f.unregister("echo")
	f.register("echo", 1, func(pt *v1alpha1.ProcessType) { pt.Spec.LifetimeSeconds, pt.Spec.MaxConcurrent = 60, 1 })
	for i := range before + 1 { // one of them has the slot
		f.aged(fmt.Sprint("before-", i), i-before-1, hour)
	}
	f.known("mine", unchanged)
	return f
}

// leave ends a process before "mine", and lets the facade see it.
func (f *facade) leave(i int) {
	f.deleted(fmt.Sprint("before-", i))
	f.clock.Step(time.Second)
}

// Each position is another body, with another ETag.
func TestQueuePositionIsShown(t *testing.T) {
	f := newQueue(t, 2)
	const path = "/v1/processes/echo/mine"
	seen := map[string]bool{}
	for i := range 4 {
		body := mineProcessing
		if i < 3 {
			body = queued(3 - i)
		}
		got := f.get(path)
		f.want(got, 200, body)
		tag := got.header.Get("ETag")
		if seen[tag] {
			t.Errorf("%s has the ETag of another position", body)
		}
		seen[tag] = true
		if head := f.do("HEAD", path, nil, nil); head.header.Get("ETag") != tag {
			t.Errorf("HEAD has the ETag %s, GET %s", head.header.Get("ETag"), tag)
		}
		if same := f.getWith(path, "If-None-Match", tag); same.status != 304 {
			t.Errorf("status %d for the current ETag of %s", same.status, body)
		}
		if list := f.get("/v1/processes/echo?include=input"); !strings.Contains(list.body, body) {
			t.Errorf("%s is not in the list %s", body, list.body)
		}
		if i < 3 {
			f.leave(i)
		}
	}
	f.cache.Set(echoProcess("mine", func(p *v1alpha1.Process) { p.Status.StartTime = metav1.NewTime(epoch) }))
	if got := f.get(path); strings.Contains(got.body, "queuePosition") {
		t.Errorf("a process that has started is %s", got.body)
	}
	if f.live.Gets.Load() != 0 {
		t.Errorf("%d live reads, want none", f.live.Gets.Load())
	}
}

func TestQueuePositionOfALargeProcess(t *testing.T) {
	f := newQueue(t, 0)
	f.stored("mine", unchanged)
	f.known("mine", func(p *v1alpha1.Process) { p.Spec.Input = "~20000" })
	got := f.get("/v1/processes/echo/mine")
	f.want(got, 200, queued(1))
	if same := f.getWith("/v1/processes/echo/mine", "If-None-Match", got.header.Get("ETag")); same.status != 304 {
		t.Errorf("status %d for the current ETag", same.status)
	}
}

// The queue moves on. A stream gets the new position with a heartbeat, not at once.
func TestQueuePositionInAStream(t *testing.T) {
	f := newQueue(t, 2)
	s := f.stream("/v1/processes/echo/mine")
	s.next("data: " + queued(3))
	f.timers(2)
	f.leave(0)
	f.leave(1)
	f.timers(2)
	f.clock.Step(13 * time.Second)
	s.next(":")
	s.next("data: " + queued(1))
	f.timers(2)
	f.clock.Step(15 * time.Second)
	s.next(":") // the position is the same
	f.timers(2)
	f.cache.Set(echoProcess("mine", finished))
	s.next("data: " + mineComplete)
	s.end()
}

// A client that connects again has its position already.
func TestQueuePositionAfterAReconnect(t *testing.T) {
	f := newQueue(t, 1)
	s := f.stream("/v1/processes/echo/mine", "Last-Event-ID", strings.Trim(f.get("/v1/processes/echo/mine").header.Get("ETag"), `"`))
	f.timers(2)
	f.clock.Step(15 * time.Second)
	s.next(":")
	f.cache.Set(echoProcess("mine", finished))
	s.next("data: " + mineComplete)
}

// A position alone is not worth a read of a large input at the API server.
func TestQueuePositionInAStreamOfALargeProcess(t *testing.T) {
	f := newQueue(t, 1)
	f.stored("mine", unchanged)
	f.known("mine", func(p *v1alpha1.Process) { p.Spec.Input = "~20000" })
	s := f.stream("/v1/processes/echo/mine")
	s.next("data: " + queued(2))
	reads := f.live.Gets.Load()
	f.timers(2)
	f.leave(0)
	f.timers(2)
	f.clock.Step(14 * time.Second)
	s.next(":")
	f.timers(2)
	f.cache.Set(echoProcess("mine", finished)) // its payloads are small
	s.next("data: " + mineComplete)
	s.end()
	if got := f.live.Gets.Load(); got != reads {
		t.Errorf("%d live reads for a new position", got-reads)
	}
}
