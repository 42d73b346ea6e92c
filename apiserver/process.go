package apiserver

import (
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/strictjson"
)

// clockSkew is how far our clock and the API server's may be apart. Within it, a
// process that is gone shortly before the expiry in its id has expired.
const clockSkew = 2 * time.Second

// getProcess serves GET and HEAD /v1/processes/{type}/{id}.
func (s *Server) getProcess(w http.ResponseWriter, r *http.Request) error {
	pt := s.types.lookup(r.PathValue("type"))
	if pt == nil {
		return resourceNotFound.failure()
	}
	p, err := s.find(r, pt.Name, r.PathValue("id"))
	if err != nil {
		return err
	}
	if !p.Finished() {
		w.Header().Set("Retry-After", "1")
	}
	return reply(w, http.StatusOK, body(p, s.inputSound(p)))
}

// find returns a live process of a type, or the failure that says why there is
// none. Ids that were never given out cost the API server nothing.
func (s *Server) find(r *http.Request, typeName, id string) (*v1alpha1.Process, error) {
	if len(validation.IsDNS1123Label(id)) > 0 {
		return nil, resourceNotFound.failure()
	}
	now := s.clock.Now()
	cached, err := s.store.cached(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if cached != nil {
		return served(s.witness.latest(cached), typeName, now)
	}
	expiry, given := s.ring.Verify(typeName, id)
	switch {
	case !given:
		return nil, resourceNotFound.failure()
	case !now.Before(expiry):
		return nil, resourceExpired.failure()
	}
	live, err := s.store.read(r.Context(), id) // created a moment ago, or deleted
	switch {
	case err != nil:
		return nil, err
	case live != nil:
		s.witness.remember(live, now)
		return served(live, typeName, now)
	case !now.Before(expiry.Add(-clockSkew)):
		return nil, resourceExpired.failure()
	default:
		return nil, resourceNotFound.failure()
	}
}

// served returns p when it is a process of the type that has not expired.
func served(p *v1alpha1.Process, typeName string, now time.Time) (*v1alpha1.Process, error) {
	switch {
	case p.Spec.Type != typeName:
		return nil, resourceNotFound.failure()
	case p.Expired(now):
		return nil, resourceExpired.failure()
	default:
		return p, nil
	}
}

// inputSound says whether the input of p is a JSON object. What came in through
// POST has been checked; what kubectl has made has not.
func (s *Server) inputSound(p *v1alpha1.Process) bool {
	if _, given := s.ring.Verify(p.Spec.Type, p.Name); given {
		return true
	}
	return strictjson.CheckObject([]byte(inputOf(p))) == nil
}
