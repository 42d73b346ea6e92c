// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/budget"
	"procman.dev/procman/internal/strictjson"
)

// fake is a collector of one attempt. Its own token is "good".
type fake struct {
	inputErr error
	accepted []any
}

func (f *fake) Attempt(_ context.Context, token string) (Attempt, error) {
	if token != "good" {
		return nil, agentapi.ErrUnauthenticated
	}
	return f, nil
}

func (f *fake) ID() string { return "the-pod" }

func (f *fake) Input(context.Context) (agentapi.Input, error) {
	return input.WithText(`{"n": 1.0}`), f.inputErr
}

func (f *fake) Result(_ context.Context, r agentapi.Result) error {
	f.accepted = append(f.accepted, r)
	return nil
}

func (f *fake) Progress(_ context.Context, p agentapi.Progress) error {
	f.accepted = append(f.accepted, p)
	return nil
}

var input = agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 2, Timeout: time.Minute}

// ask makes one request. It returns the body, and the error that an agent would see.
func ask(t *testing.T, f *fake, r *http.Request) (string, http.Header, error) {
	t.Helper()
	var logged int
	w := httptest.NewRecorder()
	New(f, func(_ *http.Request, status int, cause error) { logged = status }).ServeHTTP(w, r)
	if w.Code >= 400 && logged != w.Code && w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
		t.Errorf("the log has status %d, the response %d", logged, w.Code)
	}
	return w.Body.String(), w.Header(), agentapi.ReadError(w.Result())
}

func request(method, path, token, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestInput(t *testing.T) {
	body, header, err := ask(t, &fake{}, request(http.MethodGet, agentapi.InputPath, "good", ""))
	if err != nil {
		t.Fatal(err)
	}
	got, err := agentapi.ReadInput(header)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(input, got); diff != "" || body != `{"n": 1.0}` {
		t.Errorf("the body is %s\n%s", body, diff)
	}
	if _, _, err := ask(t, &fake{inputErr: agentapi.ErrSuperseded}, request(http.MethodGet, agentapi.InputPath, "good", "")); !errors.Is(err, agentapi.ErrSuperseded) {
		t.Errorf("the collector's error arrives as %v", err)
	}
}

func TestAccepted(t *testing.T) {
	failed := agentapi.Result{Attempt: 2, StartTime: time.Unix(1e9, 0).UTC(), ErrorCode: "Other", ErrorDetails: `{"a":1}`, PercentComplete: new(int32(7))}
	for _, test := range []struct {
		request *http.Request
		want    any
	}{
		{put(agentapi.Result{Output: `{"b": 1.0}`}), agentapi.Result{Output: `{"b": 1.0}`}},
		{put(failed), failed},
		{put(agentapi.Result{ErrorCode: "Other"}), agentapi.Result{ErrorCode: "Other"}},
		{request(http.MethodPut, agentapi.ProgressPath, "good", `{"percentComplete":40}`), agentapi.Progress{PercentComplete: 40}},
	} {
		f := &fake{}
		_, _, err := ask(t, f, test.request)
		if diff := cmp.Diff([]any{test.want}, f.accepted); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

// put returns a request that delivers a result.
func put(result agentapi.Result) *http.Request {
	r := request(http.MethodPut, agentapi.ResultPath, "good", result.Body())
	result.SetHeader(r.Header)
	return r
}

// failing is an input that cannot be read to its end.
type failing struct{ *fake }

func (f failing) Attempt(context.Context, string) (Attempt, error) { return f, nil }

func (f failing) Input(context.Context) (agentapi.Input, error) {
	in := input
	in.Content, in.Bytes = io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("the store is away")))), 8
	return in, nil
}

// TestInputThatEndsEarly: an agent never takes a part of its input for the whole.
func TestInputThatEndsEarly(t *testing.T) {
	var cause error
	server := httptest.NewServer(New(failing{&fake{}}, func(_ *http.Request, _ int, err error) { cause = err }))
	defer server.Close()
	r := request(http.MethodGet, server.URL+agentapi.InputPath, "good", "")
	r.RequestURI = ""
	response, err := server.Client().Do(r)
	if err != nil {
		return // nothing was sent
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the agent gets %q as the whole input", body)
	}
	if cause == nil || !strings.Contains(cause.Error(), "the store is away") {
		t.Errorf("the log has %v", cause)
	}
}

func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		request *http.Request
		want    error // nil: worth another try
	}{
		"no token":                     {httptest.NewRequest(http.MethodGet, agentapi.InputPath, nil), agentapi.ErrUnauthenticated},
		"another token":                {request(http.MethodGet, agentapi.InputPath, "other", ""), agentapi.ErrUnauthenticated},
		"a token without end":          {request(http.MethodGet, agentapi.InputPath, strings.Repeat("x", maxTokenBytes+1), ""), agentapi.ErrUnauthenticated},
		"neither output nor error":     {put(agentapi.Result{}), agentapi.ErrBadRequest},
		"an errorCode that is not one": {put(agentapi.Result{ErrorCode: "two words"}), agentapi.ErrBadRequest},
		"no header":                    {request(http.MethodPut, agentapi.ResultPath, "good", `{}`), agentapi.ErrBadRequest},
		"a result that is too large":   {sized(put(agentapi.Result{Output: `{}`}), agentapi.MaxPayloadBytes+1), agentapi.ErrBadRequest},
		"a result of unknown size":     {sized(put(agentapi.Result{Output: `{}`}), -1), agentapi.ErrBadRequest},
		"a result that is cut off":     {sized(put(agentapi.Result{Output: `{`}), 100), nil},
		"progress over its end":        {request(http.MethodPut, agentapi.ProgressPath, "good", `{"percentComplete":101}`), agentapi.ErrBadRequest},
		"progress that is too large":   {sized(request(http.MethodPut, agentapi.ProgressPath, "good", `{}`), maxProgressBytes+1), agentapi.ErrBadRequest},
		"a path that there is not":     {request(http.MethodGet, "/v2/input", "good", ""), nil},
		"a method that there is not":   {request(http.MethodPost, agentapi.InputPath, "good", ""), nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			body, header, err := ask(t, f, test.request)
			if err == nil || len(f.accepted) > 0 || strings.Contains(body, "1.0") {
				t.Errorf("answered with %q, accepted %v", body, f.accepted)
			}
			if test.want != nil && !errors.Is(err, test.want) || test.want == nil && agentapi.Final(err) {
				t.Errorf("the agent gets %v, want %v", err, test.want)
			}
			if header.Get(agentapi.HeaderCollector) == "" {
				t.Errorf("the response has no header %s", agentapi.HeaderCollector)
			}
		})
	}
}

// sized sets the length that the request declares.
func sized(r *http.Request, length int64) *http.Request {
	r.ContentLength = length
	return r
}

// stalled is a body that does not end before the test.
type stalled struct{ started, end chan struct{} }

func (s stalled) Read([]byte) (int, error) {
	close(s.started)
	<-s.end
	return 0, io.ErrUnexpectedEOF
}

func TestOneResultAtATimeForAnAttempt(t *testing.T) {
	h := New(&fake{}, func(*http.Request, int, error) {})
	body, done := stalled{make(chan struct{}), make(chan struct{})}, make(chan struct{})
	go func() {
		defer close(done)
		r := request(http.MethodPut, agentapi.ResultPath, "good", "")
		r.Body = io.NopCloser(body)
		h.ServeHTTP(httptest.NewRecorder(), sized(r, 10))
	}()
	<-body.started
	status := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, put(agentapi.Result{Output: `{}`}))
		return w.Code
	}
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("a second result of the attempt is answered with %d", got)
	}
	close(body.end)
	<-done
	if got := status(); got != http.StatusOK {
		t.Errorf("after the first has ended, the result is answered with %d", got)
	}
}

func TestResultsInWorkAreBounded(t *testing.T) {
	h := New(&fake{}, nil)
	var memory *budget.Reservation
	for _, id := range []string{"a", "b", "c"} { // maxResultsBytes in all
		var err error
		if memory, err = h.reserve(id, agentapi.MaxPayloadBytes); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the first refusal keeps nothing
		if _, err := h.reserve("e", 1); !errors.Is(err, budget.ErrExhausted) {
			t.Errorf("one more result: %v", err)
		}
	}
	memory.Release()
	memory, err := h.reserve("e", agentapi.MaxPayloadBytes)
	if err != nil {
		t.Errorf("after another has ended: %v", err)
	}
	if err := memory.Grow(1); !errors.Is(err, budget.ErrExhausted) {
		t.Errorf("to parse it: %v", err)
	}
}

// The largest result fits, whatever it consists of.
func TestLargestResult(t *testing.T) {
	worst := []byte(`{"a":[` + strings.Repeat("1,", agentapi.MaxPayloadBytes/2) + `1]}`)[:agentapi.MaxPayloadBytes]
	if need := resultCopies*agentapi.MaxPayloadBytes + strictjson.ParseBytes(worst); need > maxResultsBytes {
		t.Errorf("it takes %d bytes, of %d", need, maxResultsBytes)
	}
}
