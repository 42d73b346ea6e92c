package apiserver

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// maxWait is the longest wait that Prefer gets.
const maxWait = 60 * time.Second

// preferredWait returns the wait that a client prefers (RFC 7240, section 4.3),
// at most maxWait. What is no preference for a wait is ignored, as RFC 7240 says;
// of several the first counts.
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
		seconds, _ := strconv.ParseUint(digits, 10, 31) // the largest number when there are more seconds than that
		return min(time.Duration(seconds)*time.Second, maxWait), true
	}
	return 0, false
}

// DefaultMaxWaiters keeps a replica with that many waiters within 256 MiB: each has
// the buffers of a connection and the stacks of two goroutines.
const DefaultMaxWaiters = 4000

// Drain ends all waits and all event streams: a waiter gets the process as it is.
// Requests that want to wait afterwards are answered at once.
func (s *Server) Drain() { s.drainOnce.Do(func() { close(s.draining) }) }

// beginWait prepares a request for a wait. It returns false when the request must
// not wait: as many others wait as may, or its body is too long.
//
// The server notices that a client disconnects only after it has read the body, and
// only while no read deadline passes.
func (s *Server) beginWait(w http.ResponseWriter, r *http.Request) (end func(), ok bool) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxWaitBody)); err != nil {
		return nil, false
	}
	if !s.waiters.TryAcquire(1) {
		return nil, false
	}
	s.metrics.waiting.Inc()
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a test's writer has no deadline
	return func() {
		s.metrics.waiting.Dec()
		s.waiters.Release(1)
		if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok && r.Context().Err() != nil {
			x.clientGone = true
		}
	}, true
}

// maxWaitBody is how many bytes the body of a request that waits can have.
const maxWaitBody = 4 << 10

// await returns the newest form of p: when it is terminal, when the wait is over,
// when the client disconnects, or when the server drains. It costs no call to the
// API server for a process that the cache has. Applied is false when the request
// did not wait although it could have.
func (s *Server) await(w http.ResponseWriter, r *http.Request, p *v1alpha1.Process, wait time.Duration) (_ *v1alpha1.Process, applied bool, err error) {
	if p.Finished() || wait == 0 {
		return p, true, nil
	}
	end, ok := s.beginWait(w, r)
	if !ok {
		return p, false, nil
	}
	defer func() {
		end()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(eventTimeout)) // the wait does not count
	}()
	watch := s.cache.watch(p.Name)
	defer watch.stop()
	timer := s.clock.NewTimer(min(wait, p.ExpirationTime().Sub(s.clock.Now())))
	defer timer.Stop()
	for over := false; ; {
		p, err := s.find(r.Context(), p.Spec.Type, p.Name)
		if err != nil || p.Finished() || over {
			return p, true, err
		}
		select {
		case <-watch.changed:
		case <-timer.C():
			over = true
		case <-s.draining:
			over = true
		case <-r.Context().Done(): // a client that has closed only its side still reads the answer
			over = true
		}
	}
}
