// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

const (
	mineProcessing = `{"processId":"mine","state":"processing",` + expires + `,"input":{"a": 1.0}}`
	mineForty      = `{"processId":"mine","state":"processing",` + expires + `,"input":{"a": 1.0},"percentComplete":40}`
	mineComplete   = `{"processId":"mine","state":"complete",` + expires + `,"input":{"a": 1.0},"output":{"done": true}}`
	mineFailed     = `{"processId":"mine","state":"error",` + expires + `,"input":{"a": 1.0},"errorCode":"WorkerFailed"}`
)

// hour makes a Process live for an hour.
func hour(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = 3600 }

// progress makes a Process report its progress.
func progress(percent int32) func(*v1alpha1.Process) {
	return func(p *v1alpha1.Process) { p.Status.PercentComplete = &percent }
}

// workerFailed makes a Process end in error.
func workerFailed(p *v1alpha1.Process) {
	p.Status.State, p.Status.ErrorCode = v1alpha1.StateError, "WorkerFailed"
}

// Which values of Prefer are a wait, and how long it is.
func TestPreferWait(t *testing.T) {
	const none = time.Duration(-1)
	tests := map[string]struct {
		prefer []string // the headers
		wait   time.Duration
	}{
		"seconds":                     {[]string{"wait=10"}, 10 * time.Second},
		"one second":                  {[]string{"wait=1"}, time.Second},
		"zero":                        {[]string{"wait=0"}, 0},
		"leading zeroes":              {[]string{"wait=007"}, 7 * time.Second},
		"the most":                    {[]string{"wait=60"}, time.Minute},
		"capped":                      {[]string{"wait=61"}, time.Minute},
		"capped, much":                {[]string{"wait=2147483647"}, time.Minute},
		"capped, beyond 31 bits":      {[]string{"wait=4294967296"}, time.Minute},
		"capped, beyond any integer":  {[]string{"wait=" + strings.Repeat("9", 40)}, time.Minute},
		"large, not a number":         {[]string{"wait=" + strings.Repeat("9", 40) + "s"}, none},
		"capital letters":             {[]string{"WAIT=10"}, 10 * time.Second},
		"quoted":                      {[]string{`wait="10"`}, 10 * time.Second},
		"white space":                 {[]string{"  wait = 10 "}, 10 * time.Second},
		"with a parameter":            {[]string{"wait=10; foo=bar;baz"}, 10 * time.Second},
		"after another preference":    {[]string{"respond-async, wait=10"}, 10 * time.Second},
		"before another preference":   {[]string{`wait=10,handling="lenient"`}, 10 * time.Second},
		"empty list members":          {[]string{", ,wait=10,"}, 10 * time.Second},
		"in a header of its own":      {[]string{"respond-async", "wait=10"}, 10 * time.Second},
		"first of a header counts":    {[]string{"wait=10, wait=20"}, 10 * time.Second},
		"first of the headers counts": {[]string{"wait=20", "wait=10"}, 20 * time.Second},
		"first is malformed":          {[]string{"wait=x, wait=10"}, none},
		"none":                        {nil, none},
		"empty":                       {[]string{""}, none},
		"no value":                    {[]string{"wait"}, none},
		"empty value":                 {[]string{"wait="}, none},
		"empty quoted value":          {[]string{`wait=""`}, none},
		"negative":                    {[]string{"wait=-1"}, none},
		"signed":                      {[]string{"wait=+1"}, none},
		"fraction":                    {[]string{"wait=1.5"}, none},
		"unit":                        {[]string{"wait=10s"}, none},
		"word":                        {[]string{"wait=long"}, none},
		"longer name":                 {[]string{"waiting=10"}, none},
		"parameter of another":        {[]string{"respond-async;wait=10"}, none},
		"other preference":            {[]string{"respond-async"}, none},
	}
	const body = `{"processId":"mine","state":"processing","expirationDateTime":"2026-05-06T08:08:09.000Z","createdDateTime":"2026-05-06T07:08:09.000Z","input":{"a": 1.0}}`
	for name, tc := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(name+", "+method, func(t *testing.T) {
				f := newFacade(t)
				f.known("mine", hour)
				answer := f.later(method, "/v1/processes/echo/mine", http.Header{"Prefer": tc.prefer})
				if tc.wait > 0 {
					f.timers(1)
					f.clock.Step(tc.wait - 1)
					if !f.clock.HasWaiters() {
						t.Error("the wait was over early")
					}
					f.clock.Step(1)
				}
				got := <-answer
				f.want(got, 200, map[string]string{"GET": body, "HEAD": ""}[method])
				applied := "wait=" + strconv.Itoa(int(tc.wait/time.Second))
				if tc.wait == none {
					applied = ""
				}
				for name, want := range map[string]string{"Preference-Applied": applied, "Retry-After": "1", "Vary": "Accept, Prefer"} {
					if value := got.header.Get(name); value != want {
						t.Errorf("%s is %q, want %q", name, value, want)
					}
				}
				if reads, timers := f.live.Gets.Load(), f.clock.Waiters(); reads != 0 || timers != 0 {
					t.Errorf("%d live reads, %d timers left, want none", reads, timers)
				}
			})
		}
	}
}

// What can happen while a request waits.
func TestWait(t *testing.T) {
	change := func(changes ...func(*v1alpha1.Process)) func(*facade) {
		return func(f *facade) {
			for _, c := range changes {
				f.cache.Set(echoProcess("mine", c))
			}
		}
	}
	tests := map[string]struct {
		happens func(*facade)
		status  int
		body    string
	}{
		"complete":                 {change(finished), 200, mineComplete},
		"error":                    {change(workerFailed), 200, mineFailed},
		"progress does not end it": {change(progress(10), progress(40), finished), 200, mineComplete},
		"progress is shown":        {func(f *facade) { change(progress(40))(f); f.clock.Step(30 * time.Second) }, 200, mineForty},
		"the same again":           {func(f *facade) { change(unchanged, unchanged)(f); f.clock.Step(30 * time.Second) }, 200, mineProcessing},
		"another finishes":         {func(f *facade) { f.known("other", finished); f.clock.Step(30 * time.Second) }, 200, mineProcessing},
		"time goes by":             {func(f *facade) { f.clock.Step(29 * time.Second); f.clock.Step(time.Second) }, 200, mineProcessing},
		"deleted":                  {func(f *facade) { f.deleted("mine") }, 404, notFound},
		"deleted by a client":      {func(f *facade) { f.want(f.do("DELETE", "/v1/processes/echo/mine", nil, nil), 204, "") }, 404, notFound},
		"drain":                    {func(f *facade) { f.server.Drain() }, 200, mineProcessing},
		"drain, twice":             {func(f *facade) { f.server.Drain(); f.server.Drain() }, 200, mineProcessing},
		"expires":                  {func(f *facade) { f.clock.Step(59750 * time.Millisecond) }, 410, expired},
		"expires and finishes":     {func(f *facade) { f.clock.Step(time.Hour); change(finished)(f) }, 410, expired},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.stored("mine", unchanged)
			f.known("mine", unchanged)
			answer := f.later("GET", "/v1/processes/echo/mine", headerOf("Prefer", "wait=30"))
			f.timers(1)
			before := f.live.Gets.Load()
			tc.happens(f)
			got := <-answer
			f.want(got, tc.status, tc.body)
			applied := map[int]string{200: "wait=30"}[tc.status]
			again := map[bool]string{true: "1"}[strings.Contains(tc.body, `"processing"`)]
			if a, r := got.header.Get("Preference-Applied"), got.header.Get("Retry-After"); a != applied || r != again {
				t.Errorf("Preference-Applied %q, Retry-After %q, want %q and %q", a, r, applied, again)
			}
			if tag := got.header.Get("ETag"); (tag != "") != (tc.status == 200) {
				t.Errorf("ETag is %q", tag)
			}
			if reads := f.live.Gets.Load() - before; reads != 0 {
				t.Errorf("%d live reads while it waited, want none", reads)
			}
			if timers := f.clock.Waiters(); timers != 0 {
				t.Errorf("%d timers left", timers)
			}
			if f.served(tc.status, 1); f.watched() != 0 {
				t.Errorf("%d watches left", f.watched())
			}
		})
	}
}

// A wait ends when the process expires.
func TestWaitEndsAtTheExpiry(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	answer := f.later("GET", "/v1/processes/echo/mine", headerOf("Prefer", "wait=60"))
	f.timers(1)
	f.clock.Step(59749 * time.Millisecond)
	if !f.clock.HasWaiters() {
		t.Error("the wait was over early")
	}
	f.clock.Step(time.Millisecond)
	f.want(<-answer, 410, expired)
}

func TestWaitThatEndsAtOnce(t *testing.T) {
	f := newFacade(t)
	f.known("mine", finished)
	f.known("late", unchanged)
	wait := headerOf("Prefer", "wait=60")
	answered := func(method, path string, status int, body, applied string) {
		t.Helper()
		got := <-f.later(method, path, wait)
		f.want(got, status, body)
		if got.header.Get("Preference-Applied") != applied {
			t.Errorf("Preference-Applied %q, want %q", got.header.Get("Preference-Applied"), applied)
		}
	}
	answered("GET", "/v1/processes/echo/mine", 200, mineComplete, "wait=60")
	answered("HEAD", "/v1/processes/echo/mine", 200, "", "wait=60")
	answered("GET", "/v4/processes/echo/mine/", 200, mineComplete, "wait=60")
	answered("GET", "/v1/processes/echo/none", 404, notFound, "")
	answered("GET", "/v1/processes/ocr/mine", 404, notFound, "")
	answered("GET", "/v1/processes/echo", 200, `{"processes":[{"processId":"mine","state":"complete",`+expires+`},{"processId":"late","state":"processing",`+expires+`}]}`, "")
	f.clock.Step(time.Hour)
	answered("GET", "/v1/processes/echo/mine", 410, expired, "")
}

// A request with a long body does not wait.
func TestWaitWithALongBody(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	got := f.do("GET", "/v1/processes/echo/mine", strings.NewReader(strings.Repeat(" ", 5000)), map[string]string{"Prefer": "wait=60"})
	f.want(got, 200, mineProcessing)
	if applied := got.header.Get("Preference-Applied"); applied != "" {
		t.Errorf("Preference-Applied is %q", applied)
	}
}

func TestWaitWhileDraining(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	f.server.Drain()
	f.want(<-f.later("GET", "/v1/processes/echo/mine", headerOf("Prefer", "wait=60")), 200, mineProcessing)
}

// A client waits on this replica for a process that another replica has just created: the
// informer reports it here, too.
func TestWaitForAProcessThatTheInformerDoesNotKnowYet(t *testing.T) {
	for name, happens := range map[string]func(f *facade, id string){
		"finished at once": func(f *facade, id string) { f.known(id, finished) },
		"step by step": func(f *facade, id string) {
			f.known(id, unchanged)
			f.cache.Set(echoProcess(id, progress(50)))
			f.cache.Set(echoProcess(id, finished))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			id := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
			f.stored(id, unchanged)
			answer := f.later("GET", "/v1/processes/echo/"+id, headerOf("Prefer", "wait=30"))
			f.timers(1)
			happens(f, id)
			f.want(<-answer, 200, strings.ReplaceAll(mineComplete, "mine", id))
		})
	}
}

// With an ETag, a wait is a long poll.
func TestWaitForAChangeOfETag(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	tag := f.get("/v1/processes/echo/mine").header.Get("ETag")
	header := headerOf("Prefer", "wait=10", "If-None-Match", tag)

	answer := f.later("GET", "/v1/processes/echo/mine", header)
	f.timers(1)
	f.clock.Step(10 * time.Second)
	got := <-answer
	f.want(got, 304, "")
	if got.header.Get("Preference-Applied") != "wait=10" || got.header.Get("Retry-After") != "1" || got.header.Get("ETag") != tag {
		t.Errorf("the headers are %v", got.header)
	}

	answer = f.later("GET", "/v1/processes/echo/mine", header)
	f.timers(1)
	f.cache.Set(echoProcess("mine", finished))
	f.want(<-answer, 200, mineComplete)
}

// A POST that waits gets what a GET would get. It holds no memory for its body while it
// waits.
func TestPostThatWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(f *facade, id string)
		status  int
		body    string // of a process called mine
		applied string
	}{
		"complete": {func(f *facade, id string) { f.known(id, finished) }, 200, mineComplete, "wait=30"},
		"error":    {func(f *facade, id string) { f.known(id, workerFailed) }, 200, mineFailed, "wait=30"},
		"time":     {func(f *facade, id string) { f.known(id, unchanged); f.clock.Step(30 * time.Second) }, 200, mineProcessing, "wait=30"},
		"drain":    {func(f *facade, id string) { f.known(id, progress(40)); f.server.Drain() }, 200, mineForty, "wait=30"},
		"deleted":  {func(f *facade, id string) { f.known(id, unchanged); f.deleted(id) }, 404, notFound, ""},
		"expired":  {func(f *facade, id string) { f.known(id, unchanged); f.clock.Step(time.Hour) }, 410, expired, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			answer := make(chan response, 1)
			go func() {
				answer <- f.do("POST", "/v1/processes/echo", strings.NewReader(`{"input":{"a": 1.0}}`), map[string]string{"Prefer": "wait=30", "If-None-Match": "*"})
			}()
			f.timers(1)
			var all v1alpha1.ProcessList
			if err := f.live.List(t.Context(), &all); err != nil || len(all.Items) != 1 {
				t.Fatalf("%d processes, %v", len(all.Items), err)
			}
			id := all.Items[0].Name
			if memory := reflect.ValueOf(f.server).Elem().FieldByName("bodyMemory").Elem().FieldByName("used"); memory.FieldByName("v").Int() != 0 {
				t.Errorf("%v bytes are reserved while it waits", memory)
			}
			tc.happens(f, id)
			got := <-answer
			f.want(got, tc.status, strings.ReplaceAll(tc.body, `"mine"`, `"`+id+`"`))
			if got.header.Get("Preference-Applied") != tc.applied || tc.status == 200 && got.header.Get("Content-Location") != "/v1/processes/echo/"+id {
				t.Errorf("the headers are %v", got.header)
			}
		})
	}
	// One that must not wait is answered at once.
	f := newFacade(t)
	f.server.Drain()
	for _, prefer := range []string{"wait=0", "wait=30"} {
		if got := f.do("POST", "/v1/processes/echo", strings.NewReader(`{"input":{}}`), map[string]string{"Prefer": prefer}); got.status != 200 || !strings.Contains(got.body, `"processing"`) {
			t.Errorf("%s: status %d: %s", prefer, got.status, got.body)
		}
	}
}

// Many waiters cause no calls to the API server, and one change answers all of them.
func TestManyWait(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	const many = 200
	answers := make([]<-chan response, many)
	for i := range answers {
		answers[i] = f.later("GET", "/v1/processes/echo/mine", headerOf("Prefer", "wait=60"))
	}
	f.timers(many)
	f.cache.Set(echoProcess("mine", finished))
	for _, answer := range answers {
		f.want(<-answer, 200, mineComplete)
	}
	f.served(200, many)
	if reads, watched := f.live.Gets.Load(), f.watched(); reads != 0 || watched != 0 {
		t.Errorf("%d live reads, %d watches left, want none", reads, watched)
	}
}

// The watch of a client that disconnects is freed, and the log has no error.
func TestDisconnectFreesTheWatch(t *testing.T) {
	for name, tc := range map[string]struct {
		header http.Header
		timers int
		status int // in the log
	}{
		"wait":   {headerOf("Prefer", "wait=60"), 1, 499},
		"stream": {headerOf("Accept", "text/event-stream"), 2, 200},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.known("mine", hour)
			ctx, leave := context.WithCancel(t.Context())
			gone := make(chan error, 1)
			go func() {
				_, err := f.ask(ctx, "GET", "/v1/processes/echo/mine", tc.header)
				gone <- err
			}()
			f.timers(tc.timers)
			leave()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("the client got %v", err)
			}
			f.timers(0)
			f.served(tc.status, 1)
			if f.watched() != 0 {
				t.Errorf("%d watches left", f.watched())
			}
			if log := f.log.String(); strings.Contains(log, "request failed") {
				t.Errorf("the log has an error:\n%s", log)
			}
		})
	}
}
