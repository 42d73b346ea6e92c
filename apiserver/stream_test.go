// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/api/v1alpha1"
)

// stream is a stream of server-sent events as a client reads it.
type stream struct {
	*facade
	request  *http.Request
	response *http.Response
	lines    *bufio.Reader
	whole    bytes.Buffer
}

// stream requests a process as events.
func (f *facade) stream(path string, namesAndValues ...string) *stream {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), 30*time.Second)
	f.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+path, nil)
	if err != nil {
		f.Fatal(err)
	}
	req.Header = headerOf(append([]string{"Accept", "text/event-stream"}, namesAndValues...)...)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = res.Body.Close() })
	s := &stream{facade: f, request: req, response: res}
	s.lines = bufio.NewReader(io.TeeReader(res.Body, &s.whole))
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "private, no-cache", "Vary": "Accept, Prefer",
		"Content-Length": "", "ETag": "", "Retry-After": "", "Preference-Applied": "",
	} {
		if got := res.Header.Get(name); got != want {
			f.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if res.StatusCode != 200 || res.Header.Get("X-Request-Id") == "" {
		f.Errorf("status %d, headers %v", res.StatusCode, res.Header)
	}
	return s
}

// eventID is the line with the id of an event.
var eventID = regexp.MustCompile(`^id: [0-9a-f]{16}\n`)

// next checks the next event: all lines up to an empty one, without its id. Every body of
// a process has one. A heartbeat is skipped unless it is wanted: it can come together with
// an event.
func (s *stream) next(want string) {
	s.Helper()
	got := ""
	for !strings.HasSuffix(got, "\n\n") {
		line, err := s.lines.ReadString('\n')
		if got += line; err != nil {
			s.Fatalf("the stream ended (%v) after %q, want %q", err, got, want)
		}
		if got == ":\n\n" && want != ":" {
			got = ""
		}
	}
	if strings.HasPrefix(want, `data: {"processId"`) != eventID.MatchString(got) {
		s.Errorf("the id of %q", got)
	}
	if diff := cmp.Diff(want+"\n\n", eventID.ReplaceAllString(got, "")); diff != "" {
		s.Errorf("event (-want +got):\n%s", diff)
	}
}

const endEvent = "id: end\nevent: end\ndata:\n\n"

// end checks that the stream ends with an event of type end.
func (s *stream) end() {
	s.Helper()
	s.next(strings.TrimSuffix(endEvent, "\n\n"))
	s.cut()
}

// cut checks that the stream ends without an event, so that the client connects again.
func (s *stream) cut() {
	s.Helper()
	if rest, err := io.ReadAll(s.lines); err != nil || len(rest) > 0 {
		s.Errorf("instead of the end came %q, %v", rest, err)
	}
	if err := checker().Check(s.request, s.response, s.whole.Bytes()); err != nil {
		s.Errorf("the stream is not as in openapi.yaml: %v", err)
	}
	s.served(200, 1)
	if s.clock.Waiters() != 0 || s.watched() != 0 {
		s.Errorf("%d timers and %d watches left", s.clock.Waiters(), s.watched())
	}
}

func TestStream(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	s := f.stream("/v1/processes/echo/mine")
	s.next("data: " + mineProcessing)
	f.cache.Set(echoProcess("mine", progress(0)))
	s.next("data: " + strings.TrimSuffix(mineProcessing, "}") + `,"percentComplete":0}`)
	f.cache.Set(echoProcess("mine", progress(0))) // no visible change
	f.cache.Set(echoProcess("mine", progress(40)))
	s.next("data: " + mineForty)
	f.known("other", finished) // another process
	f.cache.Set(echoProcess("mine", finished))
	s.next("data: " + mineComplete)
	s.end()
	if got := f.live.Gets.Load(); got != 0 {
		t.Errorf("%d live reads, want none", got)
	}
}

// The ways in which a stream ends after its first event.
func TestStreamEnds(t *testing.T) {
	tests := map[string]struct {
		happens func(*facade)
		last    string // "" if there is no last event
	}{
		"complete":            {func(f *facade) { f.cache.Set(echoProcess("mine", finished)) }, mineComplete},
		"error":               {func(f *facade) { f.cache.Set(echoProcess("mine", workerFailed)) }, mineFailed},
		"expiry":              {func(f *facade) { f.known("mine", unchanged); f.clock.Step(time.Hour) }, expired},
		"deleted":             {func(f *facade) { f.deleted("mine") }, notFound},
		"deleted by a client": {func(f *facade) { f.want(f.do("DELETE", "/v1/processes/echo/mine", nil, nil), 204, "") }, notFound},
		"drain":               {func(f *facade) { f.server.Drain() }, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.stored("mine", unchanged)
			f.known("mine", unchanged)
			s := f.stream("/v1/processes/echo/mine", "Prefer", "wait=5") // has no effect on a stream
			s.next("data: " + mineProcessing)
			f.timers(2)
			before := f.live.Gets.Load()
			tc.happens(f)
			if tc.last == "" {
				s.cut()
			} else {
				s.next("data: " + tc.last)
				s.end()
			}
			if reads := f.live.Gets.Load() - before; reads != 0 {
				t.Errorf("%d live reads, want none", reads)
			}
		})
	}
}

// A stream ends exactly when the process expires.
func TestStreamEndsAtTheExpiry(t *testing.T) {
	f := newFacade(t)
	f.known("mine", func(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = 10 })
	s := f.stream("/v1/processes/echo/mine")
	s.next(`data: {"processId":"mine","state":"processing","expirationDateTime":"2026-05-06T07:08:19.000Z","createdDateTime":"2026-05-06T07:08:09.000Z","input":{"a": 1.0}}`)
	f.timers(2)
	f.clock.Step(9749 * time.Millisecond)
	if got := f.clock.Waiters(); got != 2 {
		t.Errorf("%d timers run, want 2", got)
	}
	f.clock.Step(time.Millisecond)
	s.next("data: " + expired)
	s.end()
	if log := f.log.String(); !strings.Contains(log, `"status":200,"errorCode":"ResourceExpired"`) {
		t.Errorf("the log does not have the end:\n%s", log)
	}
}

func TestStreamOfAFinishedProcess(t *testing.T) {
	f := newFacade(t)
	f.known("mine", finished)
	s := f.stream("/v4/processes/echo/mine/")
	s.next("data: " + mineComplete)
	s.end()

	// Without a process to stream, the response is that of GET.
	events := map[string]string{"Accept": "text/event-stream"}
	f.want(f.do("GET", "/v1/processes/echo/none", nil, events), 404, notFound)
	f.want(f.do("GET", "/v1/processes/ocr/mine", nil, events), 404, notFound)
	f.want(f.do("GET", "/v1/processes/nope/mine", nil, events), 404, notFound)
	f.want(f.do("HEAD", "/v1/processes/echo/mine", nil, events), 200, "")
	f.want(f.do("GET", "/v1/processes/ocr", nil, events), 200, `{"processes":[]}`)
	f.clock.Step(time.Hour)
	f.want(f.do("GET", "/v1/processes/echo/mine", nil, events), 410, expired)
}

func TestStreamWhileDraining(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	f.server.Drain()
	s := f.stream("/v1/processes/echo/mine")
	s.next("data: " + mineProcessing)
	s.cut()
}

// A line break in a payload must not end an event: each of its lines becomes a data line,
// and the client joins them again.
func TestStreamOfPayloadsWithLineBreaks(t *testing.T) {
	f := newFacade(t)
	f.known("mine", func(p *v1alpha1.Process) {
		p.Spec.Input = "{\n\"a\":\r\n1.0,\r\"b\": \"data: \\n\\n\"\n\n}"
		p.Status.State, p.Status.Output = v1alpha1.StateComplete, "{\t\"o\"\n:2\n}\n"
	})
	s := f.stream("/v1/processes/echo/mine")
	s.next(strings.Join([]string{
		`data: {"processId":"mine","state":"complete",` + expires + `,"input":{`, `data: "a":`, `data: 1.0,`,
		`data: "b": "data: \n\n"`, "data: },\"output\":{\t\"o\"", `data: :2`, `data: }`, `data: }`,
	}, "\n"))
	s.end()
}

// A client that connects again with the id of its last event gets only what it does not
// have. After the end it gets 204, so that an EventSource stops.
func TestStreamGoesOn(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	const path = "/v1/processes/echo/mine"
	id := func() string { return strings.Trim(f.get(path).header.Get("ETag"), `"`) }
	over := func(last string) {
		t.Helper()
		got := f.do("GET", path, nil, map[string]string{"Accept": "text/event-stream", "Last-Event-ID": last})
		f.want(got, 204, "")
	}
	first := id()
	s := f.stream(path, "Last-Event-ID", first)
	f.timers(2)
	f.known("mine", progress(40))
	s.next("data: " + mineForty)
	f.known("mine", finished)
	s.next("data: " + mineComplete)
	s.next(strings.TrimSuffix(endEvent, "\n\n"))
	over("end")
	over(id())
	s = f.stream(path, "Last-Event-ID", first) // it has missed the end
	s.next("data: " + mineComplete)
	s.next(strings.TrimSuffix(endEvent, "\n\n"))
	s = f.stream(path+"?include=", "Last-Event-ID", id()) // it has other payloads
	s.next(`data: {"processId":"mine","state":"complete",` + expires + `}`)
	s.next(strings.TrimSuffix(endEvent, "\n\n"))
	f.deleted("mine")
	over("end")
	f.want(f.do("GET", path, nil, map[string]string{"Accept": "text/event-stream", "Last-Event-ID": first}), 404, notFound)
}

func TestHeartbeats(t *testing.T) {
	f := newFacade(t)
	f.known("mine", hour)
	long := strings.ReplaceAll(mineProcessing, "07:09:09", "08:08:09")
	s := f.stream("/v1/processes/echo/mine")
	s.next("data: " + long)
	for range 3 {
		f.timers(2)
		f.clock.Step(14999 * time.Millisecond)
		f.timers(2) // not yet
		f.clock.Step(time.Millisecond)
		s.next(":")
	}
	f.timers(2)
	f.cache.Set(echoProcess("mine", func(p *v1alpha1.Process) { hour(p); progress(1)(p) }))
	s.next("data: " + strings.TrimSuffix(long, "}") + `,"percentComplete":1}`)
	f.server.Drain()
	s.cut()
}

// A stream of a process that another replica has just created.
func TestStreamOfAProcessThatTheInformerDoesNotKnowYet(t *testing.T) {
	f := newFacade(t)
	id := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
	f.stored(id, unchanged)
	s := f.stream("/v1/processes/echo/" + id)
	s.next("data: " + strings.ReplaceAll(mineProcessing, "mine", id))
	f.known(id, unchanged)
	f.cache.Set(echoProcess(id, finished))
	s.next("data: " + strings.ReplaceAll(mineComplete, "mine", id))
	s.end()
}

// All streams get the terminal state, and GET returns the same.
func TestManyStreams(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	streams := make([]*stream, 20)
	for i := range streams {
		streams[i] = f.stream("/v1/processes/echo/mine")
		streams[i].next("data: " + mineProcessing)
	}
	f.cache.Set(echoProcess("mine", workerFailed))
	for _, s := range streams {
		s.next("data: " + mineFailed)
		if rest, err := io.ReadAll(s.lines); err != nil || string(rest) != endEvent {
			t.Errorf("instead of the end came %q, %v", rest, err)
		}
	}
	f.want(f.get("/v1/processes/echo/mine"), 200, mineFailed)
}

func TestAccept(t *testing.T) {
	tests := map[string]struct {
		accept []string
		events bool
	}{
		"events":                     {[]string{"text/event-stream"}, true},
		"capital letters":            {[]string{"Text/Event-Stream"}, true},
		"parameter":                  {[]string{"text/event-stream;charset=utf-8"}, true},
		"quality":                    {[]string{"text/event-stream; q=0.1"}, true},
		"first":                      {[]string{"text/event-stream, application/json;q=0.5"}, true},
		"header of its own":          {[]string{"text/html;q=0.1", "text/event-stream"}, true},
		"refused":                    {[]string{"text/event-stream;q=0"}, false},
		"refused, long":              {[]string{"text/event-stream;q=0.000, application/json"}, false},
		"negative quality":           {[]string{"text/event-stream;q=-1"}, false},
		"quality no number":          {[]string{"text/event-stream;q=high"}, false},
		"none":                       {nil, false},
		"empty":                      {[]string{""}, false},
		"JSON":                       {[]string{"application/json"}, false},
		"anything":                   {[]string{"*/*"}, false},
		"any text":                   {[]string{"text/*"}, false},
		"other name":                 {[]string{"text/event-streams"}, false},
		"longer name":                {[]string{"application/text/event-stream"}, false},
		"what other types would do":  {[]string{"text/html", "application/xml"}, false},
		"malformed before it":        {[]string{";;;, text/event-stream"}, true},
		"in a parameter of another ": {[]string{`text/plain;a="text/event-stream"`}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.known("mine", finished)
			req, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/v1/processes/echo/mine", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Accept"] = tc.accept
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			data, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := checker().Check(req, res, data); err != nil {
				t.Errorf("the answer is not as in openapi.yaml: %v", err)
			}
			want, media := mineComplete, "application/json"
			if tc.events {
				want, media = "data: "+mineComplete+"\n\n"+endEvent, "text/event-stream"
			}
			if diff := cmp.Diff(want, eventID.ReplaceAllString(string(data), "")); diff != "" || res.Header.Get("Content-Type") != media {
				t.Errorf("Content-Type %q, body (-want +got):\n%s", res.Header.Get("Content-Type"), diff)
			}
			if got := res.Header.Get("Vary"); got != "Accept, Prefer" {
				t.Errorf("Vary is %q", got)
			}
		})
	}
}

func TestStreamOfALargeProcess(t *testing.T) {
	long := `{"a": "` + strings.Repeat("x", 20_000) + `"}`
	f := newFacade(t)
	f.storedAndKnown("mine", func(p *v1alpha1.Process) { p.Spec.Input = long; finished(p) })
	s := f.stream("/v1/processes/echo/mine")
	s.next(`data: {"processId":"mine","state":"complete",` + expires + `,"input":` + long + `,"output":{"done": true}}`)
	s.end()
}
