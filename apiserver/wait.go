// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

const (
	// maxWait is the longest wait that Prefer gets.
	maxWait = 60 * time.Second
	// DefaultMaxWaiters is a number of waiters that fits into 256 MiB. Each takes the
	// buffers of a connection and the stacks of two goroutines.
	DefaultMaxWaiters = 4000
	// maxWaitBodyBytes is the size of the largest body of a GET that waits.
	maxWaitBodyBytes = 4 << 10
	// sendTimeout is how long a client can take to read a small answer or event; a large
	// one it must read with sendBytesPerSecond. It is longer than heartbeatInterval: HTTP/2
	// ends a stream at its deadline even if nothing is being sent.
	sendTimeout        = 30 * time.Second
	sendBytesPerSecond = 16 << 10
)

// preferredWait returns the wait that a client prefers (RFC 7240, section 4.3), at most
// maxWait. It ignores what is not a preference for a wait, as RFC 7240 demands. The
// first of several counts.
func preferredWait(h http.Header) (time.Duration, bool) {
	for preference := range strings.SplitSeq(strings.Join(h.Values("Prefer"), ","), ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		digits := strings.Trim(strings.TrimSpace(value), `"`)
		if digits == "" || strings.Trim(digits, "0123456789") != "" {
			return 0, false
		}
		seconds, _ := strconv.ParseUint(digits, 10, 31) // the largest number if there are more seconds
		return min(time.Duration(seconds)*time.Second, maxWait), true
	}
	return 0, false
}

// await returns the newest form of p, when p is terminal or the wait ends for another
// reason; see processes.Store.Await. Applied is false if the request did not wait
// although it had to: RFC 7240 allows that for a preference.
func (s *Server) await(w http.ResponseWriter, r *request, p *v1alpha1.Process, wait time.Duration) (_ *v1alpha1.Process, applied bool, err error) {
	if p.Finished() || wait == 0 {
		return p, true, nil
	}
	end, ok := s.beginWait(w, r)
	if !ok {
		return p, false, nil
	}
	defer end()
	p, err = s.processes.Await(r.Context(), p, wait, s.draining)
	return p, true, err
}

// beginWait prepares a request to wait. It returns false if the request must not wait:
// too many others do, or its body is too long.
func (s *Server) beginWait(w http.ResponseWriter, r *request) (end func(), ok bool) {
	// net/http notices that a client disconnects only after the body has been read.
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxWaitBodyBytes)); err != nil {
		return nil, false
	}
	if !s.waiters.TryAcquire(1) {
		return nil, false
	}
	s.metrics.waiting.Inc()
	// At the read deadline, net/http would take the client for disconnected.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return func() {
		s.metrics.waiting.Dec()
		s.waiters.Release(1)
		extendWriteDeadline(w, 0)
		logOf(r.Request).clientGone = r.Context().Err() != nil
	}, true
}

// extendWriteDeadline gives the client time to read an answer of some bytes from now on.
func extendWriteDeadline(w http.ResponseWriter, bytes int64) {
	deadline := time.Now().Add(sendTimeout + time.Duration(bytes/sendBytesPerSecond)*time.Second)
	_ = http.NewResponseController(w).SetWriteDeadline(deadline) // a recorder of a test has no deadline
}

// Drain ends all waits and event streams; each waiter gets the process as it is. Requests
// that want to wait afterwards are answered at once.
func (s *Server) Drain() { s.drainOnce.Do(func() { close(s.draining) }) }
