// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// exchange answers with an error and reads the response.
func exchange(err error) error {
	w := httptest.NewRecorder()
	WriteError(w, err)
	return ReadError(w.Result())
}

func TestErrorsArriveAsTheyWereSent(t *testing.T) {
	for _, want := range []error{ErrOver, ErrSuperseded, ErrBadRequest, ErrUnauthenticated, ErrTooSoon} {
		if got := exchange(fmt.Errorf("pod p: %w: because", want)); !errors.Is(got, want) || Final(got) != Final(want) {
			t.Errorf("%v arrives as %v", want, got)
		}
	}
	if Final(ErrUnauthenticated) {
		t.Error("a token that is not valid yet ends the agent")
	}
	got := exchange(errors.New("etcd is away"))
	if got == nil || Final(got) {
		t.Errorf("any other error arrives as %v", got)
	}
	if text := fmt.Sprint(exchange(errors.New("the password is x"))); text != "503 Service Unavailable: Service Unavailable\n" {
		t.Errorf("the agent gets the text %q", text)
	}
}

func TestTooEarlyArrivesInWholeSeconds(t *testing.T) {
	for sent, want := range map[time.Duration]time.Duration{
		time.Millisecond: time.Second, time.Second: time.Second, 61*time.Second + 1: 62 * time.Second, MaxPause: MaxPause,
	} {
		early, ok := errors.AsType[*TooEarly](exchange(&TooEarly{Wait: sent}))
		if !ok || early.Wait != want {
			t.Errorf("%s arrives as %+v, want %s", sent, early, want)
		}
	}
}

func TestResponses(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		header http.Header
		want   error // nil: worth another try
		ok     bool
	}{
		"200":                                {http.StatusOK, http.Header{HeaderCollector: {"1"}}, nil, true},
		"200 of something else":              {http.StatusOK, nil, nil, false},
		"409":                                {http.StatusConflict, http.Header{HeaderCollector: {"1"}}, ErrOver, false},
		"409 of something else":              {http.StatusConflict, nil, nil, false},
		"410":                                {http.StatusGone, http.Header{HeaderCollector: {"1"}}, ErrSuperseded, false},
		"410 of something else":              {http.StatusGone, nil, nil, false},
		"400 of something else":              {http.StatusBadRequest, nil, nil, false},
		"404":                                {http.StatusNotFound, http.Header{HeaderCollector: {"1"}}, nil, false},
		"404 of something else":              {http.StatusNotFound, nil, nil, false},
		"425 of something else":              {http.StatusTooEarly, http.Header{"Retry-After": {"5"}}, nil, false},
		"425 that does not say how long":     {http.StatusTooEarly, http.Header{HeaderCollector: {"1"}}, nil, false},
		"425 with a pause of nothing":        {http.StatusTooEarly, http.Header{HeaderCollector: {"1"}, "Retry-After": {"0"}}, nil, false},
		"204, which no collector answers":    {http.StatusNoContent, http.Header{HeaderCollector: {"1"}}, nil, false},
		"a redirection that is not followed": {http.StatusFound, nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := ReadError(&http.Response{Status: http.StatusText(test.status), StatusCode: test.status, Header: test.header, Body: io.NopCloser(strings.NewReader("body"))})
			if _, early := errors.AsType[*TooEarly](err); (err == nil) != test.ok || Final(err) != (test.want != nil) || early {
				t.Errorf("got %v, final: %t", err, Final(err))
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
