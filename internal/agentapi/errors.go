// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
)

// HeaderCollector is on every response of a collector. A response without it comes
// from something else on the way, such as a proxy, a service mesh or a Service that
// has no endpoints: it says nothing about the process, whatever its status is.
const HeaderCollector = "Procman-Collector"

// The reasons for which a collector refuses a request. Any other reason is
// temporary: see Final.
var (
	// ErrOver: the process is over or deleted.
	ErrOver = errors.New("the process is over or deleted")
	// ErrSuperseded: a newer attempt of the process exists.
	ErrSuperseded = errors.New("a newer attempt of the process exists")
	// ErrBadRequest: the request is invalid.
	ErrBadRequest = errors.New("the request is invalid")
	// ErrUnauthenticated: the token does not prove which pod it was issued for. The
	// kubelet may be about to renew it.
	ErrUnauthenticated = errors.New("the token is not valid here")
	// ErrTooSoon: the report of progress is not due yet.
	ErrTooSoon = errors.New("the report of progress is not due yet")
)

// TooEarly is the error of a request for the input in the pause before an attempt.
type TooEarly struct {
	// Wait is what is left of the pause; at least a second on the wire.
	Wait time.Duration
}

func (e *TooEarly) Error() string { return "the attempt is due in " + e.Wait.String() }

// statuses are the HTTP statuses of the errors that need nothing but a status.
var statuses = []struct {
	err    error
	status int
}{
	{ErrOver, http.StatusConflict},
	{ErrSuperseded, http.StatusGone},
	{ErrBadRequest, http.StatusBadRequest},
	{ErrUnauthenticated, http.StatusUnauthorized},
	{ErrTooSoon, http.StatusTooManyRequests},
}

// Final reports whether the same request would get the same error again.
func Final(err error) bool {
	return errors.Is(err, ErrOver) || errors.Is(err, ErrSuperseded) || errors.Is(err, ErrBadRequest)
}

// WriteError answers a request with an error and returns the status: the error's
// own, or 503. The agent gets nothing of the error's text.
func WriteError(w http.ResponseWriter, err error) (status int) {
	status = http.StatusServiceUnavailable
	if early, ok := errors.AsType[*TooEarly](err); ok {
		status = http.StatusTooEarly
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(early.Wait.Seconds()))))
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			status = s.status
			break
		}
	}
	w.Header().Set(HeaderCollector, "1")
	http.Error(w, http.StatusText(status), status)
	return status
}

// ReadError returns the error of a response; nil for a 200 that is a collector's, whose
// body it does not read. A response without HeaderCollector is always an error that is not
// Final, as is 404, which a collector never answers.
func ReadError(r *http.Response) error {
	if r.StatusCode == http.StatusOK && r.Header.Get(HeaderCollector) != "" {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 200)) // an incomplete text is good enough
	err := fmt.Errorf("%s: %s", r.Status, body)
	if r.Header.Get(HeaderCollector) == "" {
		return fmt.Errorf("the response is not the collector's: %w", err)
	}
	if r.StatusCode == http.StatusTooEarly {
		seconds, parseErr := strconv.ParseUint(r.Header.Get("Retry-After"), 10, 16)
		if parseErr == nil && seconds > 0 {
			return &TooEarly{Wait: time.Duration(seconds) * time.Second}
		}
	}
	for _, s := range statuses {
		if r.StatusCode == s.status {
			return s.err
		}
	}
	return err
}
