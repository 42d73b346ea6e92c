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
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/budget"
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

func (f *fake) Input(context.Context) (agentapi.Input, error) { return input, f.inputErr }

func (f *fake) Result(_ context.Context, r agentapi.Result) error {
	f.accepted = append(f.accepted, r)
	return nil
}

func (f *fake) Progress(_ context.Context, p agentapi.Progress) error {
	f.accepted = append(f.accepted, p)
	return nil
}

var input = agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 2, Timeout: time.Minute, Text: `{"n": 1.0}`}

// ask makes one request. It returns the body, and the error that an agent would see.
func ask(t *testing.T, f *fake, r *http.Request) (string, http.Header, error) {
	t.Helper()
	var logged int
	w := httptest.NewRecorder()
	New(f, func(_ *http.Request, status int, cause error) { logged = status }).ServeHTTP(w, r)
	if w.Code >= 400 && logged != w.Code && w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
		t.Errorf("the log has status %d, the response %d", logged, w.Code)
	}
	return w.Body.String(), w.Header(), agentapi.ReadError(w.Result(), w.Body.Bytes())
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
	got, err := agentapi.ReadInput(header, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(input, got); diff != "" {
		t.Error(diff)
	}
	if _, _, err := ask(t, &fake{inputErr: agentapi.ErrSuperseded}, request(http.MethodGet, agentapi.InputPath, "good", "")); !errors.Is(err, agentapi.ErrSuperseded) {
		t.Errorf("the collector's error arrives as %v", err)
	}
}

func TestAccepted(t *testing.T) {
	f := &fake{}
	for path, body := range map[string]string{agentapi.ResultPath: `{"output":"{}"}`, agentapi.ProgressPath: `{"percentComplete":40}`} {
		f.accepted = nil
		if _, _, err := ask(t, f, request(http.MethodPut, path, "good", body)); err != nil || len(f.accepted) != 1 {
			t.Errorf("%s: %v, accepted %v", path, err, f.accepted)
		}
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
		"neither output nor error":     {request(http.MethodPut, agentapi.ResultPath, "good", `{}`), agentapi.ErrBadRequest},
		"an errorCode that is not one": {request(http.MethodPut, agentapi.ResultPath, "good", `{"errorCode":"two words"}`), agentapi.ErrBadRequest},
		"not JSON":                     {request(http.MethodPut, agentapi.ResultPath, "good", `nonsense`), agentapi.ErrBadRequest},
		"a result that is too large":   {sized(request(http.MethodPut, agentapi.ResultPath, "good", `{}`), maxResultBytes+1), agentapi.ErrBadRequest},
		"a result of unknown size":     {sized(request(http.MethodPut, agentapi.ResultPath, "good", `{}`), -1), agentapi.ErrBadRequest},
		"a result that is cut off":     {sized(request(http.MethodPut, agentapi.ResultPath, "good", `{"output":`), 100), nil},
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
		h.ServeHTTP(w, request(http.MethodPut, agentapi.ResultPath, "good", `{"output":"{}"}`))
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
	var release func()
	for _, id := range []string{"a", "b", "c", "d"} { // maxResultsBytes in all
		var err error
		if release, err = h.reserve(id, maxResultBytes); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the first refusal keeps nothing
		if _, err := h.reserve("e", 1); !errors.Is(err, budget.ErrExhausted) {
			t.Errorf("one more result: %v", err)
		}
	}
	release()
	if _, err := h.reserve("e", maxResultBytes); err != nil {
		t.Errorf("after another has ended: %v", err)
	}
}
