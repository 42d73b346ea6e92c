package apiserver_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
)

// ask sends a request without a body, with headers that may come several times,
// and checks its answer as do does; but for a 304, which HTTP leaves without a
// Content-Type. It may be called by any goroutine.
func (f *facade) ask(ctx context.Context, method, path string, header http.Header) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, nil)
	if err != nil {
		return response{}, err
	}
	req.Header = header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return response{}, err
	}
	if err := checker().Check(req, res, data); err != nil && method != http.MethodHead {
		f.Errorf("%s %s: status %d is not as openapi.yaml says: %v\n%s", method, path, res.StatusCode, err, data)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" && res.StatusCode != http.StatusNotModified {
		f.Errorf("%s %s: Content-Type %q", method, path, got)
	}
	return response{status: res.StatusCode, header: res.Header, body: string(data)}, nil
}

// getWith is a GET with headers, name after value.
func (f *facade) getWith(path string, namesAndValues ...string) response {
	f.Helper()
	got, err := f.ask(f.Context(), http.MethodGet, path, headerOf(namesAndValues...))
	if err != nil {
		f.Fatal(err)
	}
	return got
}

func headerOf(namesAndValues ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(namesAndValues); i += 2 {
		h.Add(namesAndValues[i], namesAndValues[i+1])
	}
	return h
}

// later sends a request and hands over its answer when there is one.
func (f *facade) later(method, path string, header http.Header) <-chan response {
	answer := make(chan response, 1)
	ctx := f.Context()
	go func() {
		got, err := f.ask(ctx, method, path, header)
		if err != nil {
			f.Errorf("%s %s: %v", method, path, err)
		}
		answer <- got
	}()
	return answer
}

// until returns when something has come about that is sure to.
func (f *facade) until(what string, is func() bool) {
	f.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			f.Fatalf("still not: %s", what)
		}
	}
}

// timers waits until so many timers of the facade's clock run.
func (f *facade) timers(n int) {
	f.Helper()
	f.until(strconv.Itoa(n)+" timers run", func() bool { return f.clock.Waiters() == n })
}

// watched is how many Processes are watched. Nobody may be at it.
func (f *facade) watched() int { return reflect.ValueOf(f.cache).Elem().FieldByName("watches").Len() }

// served waits until the log has so many lines of requests that got a status.
func (f *facade) served(status, times int) {
	f.Helper()
	f.until(strconv.Itoa(times)+" answers of "+strconv.Itoa(status), func() bool {
		return strings.Count(f.log.String(), `"status":`+strconv.Itoa(status)) == times
	})
}

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

// What of Prefer is a wait, and how long it is.
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
	const body = `{"processId":"mine","state":"processing","expirationDateTime":"2026-05-06T08:08:09.000Z","input":{"a": 1.0}}`
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
				if reads, timers := f.gets.Load(), f.clock.Waiters(); reads != 0 || timers != 0 {
					t.Errorf("%d live reads, %d timers left, want none", reads, timers)
				}
			})
		}
	}
}

// What happens while somebody waits.
func TestWait(t *testing.T) {
	change := func(changes ...func(*v1alpha1.Process)) func(*facade) {
		return func(f *facade) {
			for _, c := range changes {
				f.cache.OnUpdate(nil, echoProcess("mine", c))
			}
		}
	}
	tests := map[string]struct {
		happens func(*facade)
		status  int
		body    string
	}{
		"complete":             {change(finished), 200, mineComplete},
		"error":                {change(workerFailed), 200, mineFailed},
		"progress is no end":   {change(progress(10), progress(40), finished), 200, mineComplete},
		"progress is shown":    {func(f *facade) { change(progress(40))(f); f.clock.Step(30 * time.Second) }, 200, mineForty},
		"the same again":       {func(f *facade) { change(unchanged, unchanged)(f); f.clock.Step(30 * time.Second) }, 200, mineProcessing},
		"another finishes":     {func(f *facade) { f.known("other", finished); f.clock.Step(30 * time.Second) }, 200, mineProcessing},
		"time goes by":         {func(f *facade) { f.clock.Step(29 * time.Second); f.clock.Step(time.Second) }, 200, mineProcessing},
		"deleted":              {func(f *facade) { f.gone("mine") }, 404, notFound},
		"deleted by a client":  {func(f *facade) { f.want(f.do("DELETE", "/v1/processes/echo/mine", nil, nil), 204, "") }, 404, notFound},
		"drain":                {func(f *facade) { f.server.Drain() }, 200, mineProcessing},
		"drain, twice":         {func(f *facade) { f.server.Drain(); f.server.Drain() }, 200, mineProcessing},
		"expires":              {func(f *facade) { f.clock.Step(59750 * time.Millisecond) }, 410, expired},
		"expires and finishes": {func(f *facade) { f.clock.Step(time.Hour); change(finished)(f) }, 410, expired},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.stored("mine", unchanged)
			f.known("mine", unchanged)
			answer := f.later("GET", "/v1/processes/echo/mine", headerOf("Prefer", "wait=30"))
			f.timers(1)
			before := f.gets.Load()
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
			if reads := f.gets.Load() - before; reads != 0 {
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

// A process that lives for less than the wait ends it.
func TestWaitIsNoLongerThanTheProcess(t *testing.T) {
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

func TestWaitForWhatNeedsNone(t *testing.T) {
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
	answered("GET", "/v1/processes/echo", 200, `{"processes":[{"processId":"late","state":"processing",`+expires+`},{"processId":"mine","state":"complete",`+expires+`}]}`, "")
	f.clock.Step(time.Hour)
	answered("GET", "/v1/processes/echo/mine", 410, expired, "")
}

// The going of a client that sends a body with its GET would not be noticed.
func TestWaitIsNotForRequestsWithABody(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	got := f.do("GET", "/v1/processes/echo/mine", strings.NewReader(`{}`), map[string]string{"Prefer": "wait=60"})
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

// Somebody waits on this replica for a process that another has just made: the
// informer brings the news here as well.
func TestWaitForWhatTheInformerDoesNotKnowYet(t *testing.T) {
	for name, happens := range map[string]func(f *facade, id string){
		"finished at once": func(f *facade, id string) { f.known(id, finished) },
		"step by step": func(f *facade, id string) {
			f.known(id, unchanged)
			f.cache.OnUpdate(nil, echoProcess(id, progress(50)))
			f.cache.OnUpdate(nil, echoProcess(id, finished))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			id := f.ring.New("echo", epoch.Add(time.Minute))
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
	f.cache.OnUpdate(nil, echoProcess("mine", finished))
	f.want(<-answer, 200, mineComplete)
}

// Many waiters cost no calls, and one change answers all of them.
func TestManyWait(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	const many = 200
	answers := make([]<-chan response, many)
	for i := range answers {
		answers[i] = f.later("GET", "/v1/processes/echo/mine", headerOf("Prefer", "wait=60"))
	}
	f.timers(many)
	f.cache.OnUpdate(nil, echoProcess("mine", finished))
	for _, answer := range answers {
		f.want(<-answer, 200, mineComplete)
	}
	f.served(200, many)
	if reads, watched := f.gets.Load(), f.watched(); reads != 0 || watched != 0 {
		t.Errorf("%d live reads, %d watches left, want none", reads, watched)
	}
}

// What a client that has gone was waiting for is let go of, and it is no error of
// ours.
func TestClientThatLeavesFreesTheWatch(t *testing.T) {
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

// stream is a stream of server-sent events as a client reads it.
type stream struct {
	*facade
	request  *http.Request
	response *http.Response
	lines    *bufio.Reader
	whole    bytes.Buffer
}

// stream asks for a process as events.
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

// next checks what comes next: all up to the next empty line.
func (s *stream) next(want string) {
	s.Helper()
	got := ""
	for !strings.HasSuffix(got, "\n\n") {
		line, err := s.lines.ReadString('\n')
		if got += line; err != nil {
			s.Fatalf("the stream ended (%v) after %q, want %q", err, got, want)
		}
	}
	if diff := cmp.Diff(want+"\n\n", got); diff != "" {
		s.Errorf("event (-want +got):\n%s", diff)
	}
}

// end checks that the stream ends.
func (s *stream) end() {
	s.Helper()
	if rest, err := io.ReadAll(s.lines); err != nil || len(rest) > 0 {
		s.Errorf("instead of the end came %q, %v", rest, err)
	}
	if err := checker().Check(s.request, s.response, s.whole.Bytes()); err != nil {
		s.Errorf("the stream is not as openapi.yaml says: %v", err)
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
	f.cache.OnUpdate(nil, echoProcess("mine", progress(0)))
	s.next("data: " + strings.TrimSuffix(mineProcessing, "}") + `,"percentComplete":0}`)
	f.cache.OnUpdate(nil, echoProcess("mine", progress(0))) // nothing that shows
	f.cache.OnUpdate(nil, echoProcess("mine", progress(40)))
	s.next("data: " + mineForty)
	f.known("other", finished) // nothing to this one
	f.cache.OnUpdate(nil, echoProcess("mine", finished))
	s.next("data: " + mineComplete)
	s.end()
	if got := f.gets.Load(); got != 0 {
		t.Errorf("%d live reads, want none", got)
	}
}

// How streams end, each after its first event.
func TestStreamEnds(t *testing.T) {
	tests := map[string]struct {
		happens func(*facade)
		last    string // "" when no event tells
	}{
		"complete":            {func(f *facade) { f.cache.OnUpdate(nil, echoProcess("mine", finished)) }, mineComplete},
		"error":               {func(f *facade) { f.cache.OnUpdate(nil, echoProcess("mine", workerFailed)) }, mineFailed},
		"expiry":              {func(f *facade) { f.known("mine", unchanged); f.clock.Step(time.Hour) }, expired},
		"deleted":             {func(f *facade) { f.gone("mine") }, notFound},
		"deleted by a client": {func(f *facade) { f.want(f.do("DELETE", "/v1/processes/echo/mine", nil, nil), 204, "") }, notFound},
		"drain":               {func(f *facade) { f.server.Drain() }, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.stored("mine", unchanged)
			f.known("mine", unchanged)
			s := f.stream("/v1/processes/echo/mine", "Prefer", "wait=5") // of no matter here
			s.next("data: " + mineProcessing)
			f.timers(2)
			before := f.gets.Load()
			tc.happens(f)
			if tc.last != "" {
				s.next("data: " + tc.last)
			}
			s.end()
			if reads := f.gets.Load() - before; reads != 0 {
				t.Errorf("%d live reads, want none", reads)
			}
		})
	}
}

// The very second of the expiry, and not one before, ends a stream.
func TestStreamEndsAtTheExpiry(t *testing.T) {
	f := newFacade(t)
	f.known("mine", func(p *v1alpha1.Process) { p.Spec.LifetimeSeconds = 10 })
	s := f.stream("/v1/processes/echo/mine")
	s.next(`data: {"processId":"mine","state":"processing","expirationDateTime":"2026-05-06T07:08:19.000Z","input":{"a": 1.0}}`)
	f.timers(2)
	f.clock.Step(9749 * time.Millisecond)
	if got := f.clock.Waiters(); got != 2 {
		t.Errorf("%d timers run, want 2", got)
	}
	f.clock.Step(time.Millisecond)
	s.next("data: " + expired)
	s.end()
	if log := f.log.String(); !strings.Contains(log, `"status":200,"errorCode":"ResourceExpired"`) {
		t.Errorf("the log does not say how it ended:\n%s", log)
	}
}

func TestStreamOfWhatIsOver(t *testing.T) {
	f := newFacade(t)
	f.known("mine", finished)
	s := f.stream("/v4/processes/echo/mine/")
	s.next("data: " + mineComplete)
	s.end()

	// Where there is nothing to stream, the answer is that of GET.
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
	s.end()
}

// A line break in a payload must not end an event: each line of it is a line of
// data, which the client puts together again.
func TestStreamOfPayloadsWithLineBreaks(t *testing.T) {
	f := newFacade(t)
	f.known("mine", func(p *v1alpha1.Process) {
		p.Spec.Input = "{\n\"a\":\r\n1.0,\r\"b\": \"data: \\n\\n\"\n\n}"
		p.Status.State, p.Status.Output = v1alpha1.StateComplete, "{\t\"o\"\n:2\n}\n"
	})
	s := f.stream("/v1/processes/echo/mine")
	s.next(strings.Join([]string{
		`data: {"processId":"mine","state":"complete",` + expires + `,"input":{`, `data: "a":`, `data: `, `data: 1.0,`,
		`data: "b": "data: \n\n"`, `data: `, "data: },\"output\":{\t\"o\"", `data: :2`, `data: }`, `data: }`,
	}, "\n"))
	s.end()
}

func TestStreamShowsThatItLives(t *testing.T) {
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
	f.cache.OnUpdate(nil, echoProcess("mine", func(p *v1alpha1.Process) { hour(p); progress(1)(p) }))
	s.next("data: " + strings.TrimSuffix(long, "}") + `,"percentComplete":1}`)
	f.server.Drain()
	s.end()
}

// A stream of a process that another replica has just made.
func TestStreamOfWhatTheInformerDoesNotKnowYet(t *testing.T) {
	f := newFacade(t)
	id := f.ring.New("echo", epoch.Add(time.Minute))
	f.stored(id, unchanged)
	s := f.stream("/v1/processes/echo/" + id)
	s.next("data: " + strings.ReplaceAll(mineProcessing, "mine", id))
	f.known(id, unchanged)
	f.cache.OnUpdate(nil, echoProcess(id, finished))
	s.next("data: " + strings.ReplaceAll(mineComplete, "mine", id))
	s.end()
}

// Who has been told the end by one event gets it from every GET.
func TestManyStreams(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	streams := make([]*stream, 20)
	for i := range streams {
		streams[i] = f.stream("/v1/processes/echo/mine")
		streams[i].next("data: " + mineProcessing)
	}
	f.cache.OnUpdate(nil, echoProcess("mine", workerFailed))
	for _, s := range streams {
		s.next("data: " + mineFailed)
		if rest, err := io.ReadAll(s.lines); err != nil || len(rest) > 0 {
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
			want, media := mineComplete, "application/json"
			if tc.events {
				want, media = "data: "+mineComplete+"\n\n", "text/event-stream"
			}
			if diff := cmp.Diff(want, string(data)); diff != "" || res.Header.Get("Content-Type") != media {
				t.Errorf("Content-Type %q, body (-want +got):\n%s", res.Header.Get("Content-Type"), diff)
			}
			if got := res.Header.Get("Vary"); got != "Accept, Prefer" {
				t.Errorf("Vary is %q", got)
			}
		})
	}
}

func TestIfNoneMatch(t *testing.T) {
	const current = "{etag}" // stands for the ETag
	tests := map[string]struct {
		tags      []string
		unchanged bool
	}{
		"the tag":              {[]string{current}, true},
		"as weak":              {[]string{"W/" + current}, true},
		"white space":          {[]string{"  " + current + "\t"}, true},
		"in a list":            {[]string{`"x", ` + current + `,"y"`}, true},
		"in a list, weak":      {[]string{`W/"x",W/` + current}, true},
		"in a second header":   {[]string{`"x"`, current}, true},
		"empty list members":   {[]string{`,, ` + current}, true},
		"anything":             {[]string{"*"}, true},
		"none":                 {nil, false},
		"empty":                {[]string{""}, false},
		"another":              {[]string{`"0123456789abcdef"`}, false},
		"others":               {[]string{`"x", W/"y"`, `"z"`}, false},
		"small w":              {[]string{"w/" + current}, false},
		"without quotes":       {[]string{strings.Trim(current, `"`) + "x"}, false},
		"part of it":           {[]string{`"` + current}, false},
		"quoted star":          {[]string{`"*"`}, false},
		"two are not anything": {[]string{"**"}, false},
	}
	for name, tc := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(name+", "+method, func(t *testing.T) {
				f := newFacade(t)
				f.known("mine", unchanged)
				tag := f.get("/v1/processes/echo/mine").header.Get("ETag")
				if !regexp.MustCompile(`^"[0-9a-f]{16}"$`).MatchString(tag) {
					t.Errorf("the ETag is %s", tag)
				}
				header := http.Header{}
				for _, value := range tc.tags {
					header.Add("If-None-Match", strings.ReplaceAll(value, current, tag))
				}
				got, err := f.ask(t.Context(), method, "/v1/processes/echo/mine", header)
				if err != nil {
					t.Fatal(err)
				}
				status, body := 200, mineProcessing
				if tc.unchanged {
					status, body = 304, ""
				}
				if method == "HEAD" {
					body = ""
				}
				f.want(got, status, body)
				for name, want := range map[string]string{"ETag": tag, "Retry-After": "1", "Vary": "Accept, Prefer", "Cache-Control": "private, no-cache"} {
					if got := got.header.Get(name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			})
		}
	}
}

// Whatever GET shows differently has a different ETag; whatever it shows alike has
// the same, on every replica and however often it is asked.
func TestETag(t *testing.T) {
	f, replica := newFacade(t), newFacade(t)
	seen := map[string]string{} // ETag → body
	for _, p := range []*v1alpha1.Process{
		echoProcess("mine", unchanged),
		echoProcess("mine", progress(0)),
		echoProcess("mine", progress(40)),
		echoProcess("mine", progress(100)),
		echoProcess("mine", finished),
		echoProcess("mine", func(p *v1alpha1.Process) { finished(p); progress(100)(p) }),
		echoProcess("mine", workerFailed),
		echoProcess("other", unchanged),
		echoProcess("other", finished),
		// kubectl has made it anew.
		echoProcess("mine", func(p *v1alpha1.Process) { p.UID, p.Spec.Input = types.UID("uid-2"), `{"b":2}` }),
	} {
		path := "/v1/processes/echo/" + p.Name
		f.cache.OnUpdate(nil, p)
		replica.known(p.Name, func(other *v1alpha1.Process) { p.DeepCopyInto(other); other.ResourceVersion = "7" })
		got, there := f.get(path), replica.get(path)
		f.want(there, got.status, got.body)
		tag := got.header.Get("ETag")
		if other, ok := seen[tag]; ok {
			t.Errorf("one ETag for two bodies:\n%s\n%s", got.body, other)
		}
		seen[tag] = got.body
		for _, again := range []response{f.get(path), there, f.get("/v4/processes/echo/" + p.Name + "/"), f.do("HEAD", path, nil, nil)} {
			if again.header.Get("ETag") != tag {
				t.Errorf("ETags %s and %s for one body %s", tag, again.header.Get("ETag"), got.body)
			}
		}
		unfinished := map[bool]string{true: "1"}[!p.Finished()]
		if same := f.getWith(path, "If-None-Match", tag); same.status != 304 || same.header.Get("Retry-After") != unfinished {
			t.Errorf("status %d, Retry-After %q for the current ETag of %s", same.status, same.header.Get("Retry-After"), got.body)
		}
	}
}

// An ETag says nothing against the end of a process.
func TestETagOfWhatIsGone(t *testing.T) {
	f := newFacade(t)
	f.known("mine", finished)
	f.known("deleted", finished)
	f.stored("deleted", finished)
	tag := f.get("/v1/processes/echo/mine").header.Get("ETag")
	f.want(f.do("DELETE", "/v1/processes/echo/deleted", nil, nil), 204, "")
	for _, have := range []string{tag, "*"} {
		f.want(f.getWith("/v1/processes/echo/deleted", "If-None-Match", have), 404, notFound)
		f.want(f.getWith("/v1/processes/echo/none", "If-None-Match", have), 404, notFound)
		f.want(f.getWith("/v1/processes/ocr/mine", "If-None-Match", have), 404, notFound)
	}
	f.clock.Step(time.Minute)
	got := f.getWith("/v1/processes/echo/mine", "If-None-Match", tag)
	f.want(got, 410, expired)
	if got.header.Get("ETag") != "" {
		t.Errorf("the 410 has the ETag %s", got.header.Get("ETag"))
	}
}

func TestETagDoesNotDependOnTheClock(t *testing.T) {
	f := newFacade(t)
	f.known("mine", func(p *v1alpha1.Process) { hour(p); p.CreationTimestamp = metav1.NewTime(epoch.Local()) })
	tag := f.get("/v1/processes/echo/mine").header.Get("ETag")
	f.clock.Step(time.Minute)
	if again := f.get("/v1/processes/echo/mine").header.Get("ETag"); again != tag {
		t.Errorf("ETag %s, a minute later %s", tag, again)
	}
}
