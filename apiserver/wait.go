package apiserver

import (
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

// Drain answers all who wait, as things stand, and ends all streams. Who comes to
// wait afterwards is answered at once.
func (s *Server) Drain() { s.drainOnce.Do(func() { close(s.draining) }) }

// Wait returns when all who waited are answered, after Drain and when the server
// has no other requests.
func (s *Server) Wait() { s.parked.Wait() }

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// await returns p as it is once it is finished, the wait is over, the client leaves,
// or the server drains. It costs no call to the API server for a process that the
// cache knows.
func (s *Server) await(r *http.Request, p *v1alpha1.Process, wait time.Duration) (*v1alpha1.Process, error) {
	watch := s.cache.watch(p.Name)
	defer watch.stop()
	s.metrics.waiting.Inc()
	defer s.metrics.waiting.Dec()
	timer := s.clock.NewTimer(min(wait, p.ExpirationTime().Sub(s.clock.Now())))
	defer timer.Stop()
	for over := false; ; {
		p, err := s.find(r.Context(), p.Spec.Type, p.Name)
		if err != nil || p.Finished() || over {
			return p, err
		}
		select {
		case <-watch.changed:
		case <-timer.C():
			over = true
		case <-s.draining:
			over = true
		case <-left(r):
			over = true
		}
	}
}
