package apiserver

import (
	"context"
	"net/http"
	"strconv"
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
	typeName, id, err := s.named(r)
	if err != nil {
		return err
	}
	p, err := s.find(r.Context(), typeName, id)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet && acceptsEvents(r.Header) {
		return s.streamProcess(w, r, typeName, id)
	}
	if wait, ok := preferredWait(r.Header); ok {
		var applied bool
		if p, applied, err = s.await(w, r, p, wait); err != nil {
			return err
		}
		if applied {
			w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		}
	}
	return s.showProcess(w, r, p)
}

// showProcess answers with p as it is.
func (s *Server) showProcess(w http.ResponseWriter, r *http.Request, p *v1alpha1.Process) error {
	h := w.Header()
	entity(h, p)
	if unchanged(r.Header, h.Get("ETag")) {
		return replyWithoutBody(w, http.StatusNotModified)
	}
	p, body, release, err := s.show(r.Context(), p)
	if err != nil {
		return err
	}
	defer release()
	entity(h, p) // as it is by now
	return reply(w, http.StatusOK, body)
}

// entity sets the header of a response that shows p.
func entity(h http.Header, p *v1alpha1.Process) {
	h.Set("Vary", "Accept, Prefer")
	h.Set("ETag", etag(p))
	h.Del("Retry-After")
	if !p.Finished() {
		h.Set("Retry-After", "1")
	}
}

// deleteProcess serves DELETE /v1/processes/{type}/{id}. The Job and its pod, to
// which the kubelet sends SIGTERM, are garbage collected with the Process.
func (s *Server) deleteProcess(w http.ResponseWriter, r *http.Request) error {
	typeName, id, err := s.named(r)
	if err != nil {
		return err
	}
	p, err := s.find(r.Context(), typeName, id)
	if err != nil {
		return err
	}
	// Both writes are made also when the client disconnects meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), createTimeout)
	defer cancel()
	if err := s.keys.retire(ctx, p); err != nil {
		return err
	}
	found, err := s.store.delete(ctx, p)
	if err != nil {
		return err
	}
	s.cache.deleted(p, s.clock.Now())
	if !found {
		return resourceNotFound.failure()
	}
	return replyWithoutBody(w, http.StatusNoContent)
}

// named returns the type and the id that a path names. The type is an object
// name, the id a possible one. A type that is not registered may have been, and
// its processes are still there, or have expired: the id tells.
func (s *Server) named(r *http.Request) (typeName, id string, err error) {
	typeName, id = r.PathValue("type"), r.PathValue("id")
	if pt := s.types.lookup(typeName); pt != nil {
		typeName = pt.Name
	}
	if len(validation.IsDNS1123Label(id)) > 0 {
		return "", "", resourceNotFound.failure()
	}
	return typeName, id, nil
}

// find returns a live process of a type, or the failure that says why there is
// none. Ids that were never given out cost the API server nothing.
func (s *Server) find(ctx context.Context, typeName, id string) (*v1alpha1.Process, error) {
	now := s.clock.Now()
	cached, gone := s.cache.get(id)
	if cached != nil {
		return served(cached, typeName, now)
	}
	expiry, given := s.ring.Verify(typeName, id)
	switch {
	case !given && s.ring.Stale(now):
		return nil, internal(errUnverifiable)
	case !given:
		return nil, resourceNotFound.failure()
	case !now.Before(expiry):
		return nil, resourceExpired.failure()
	}
	var live *v1alpha1.Process
	if !gone {
		var err error
		if live, err = s.store.read(ctx, id); err != nil { // created a moment ago, or deleted
			return nil, err
		}
	}
	switch {
	case live != nil:
		s.cache.saw(live, now)
		return served(live, typeName, now)
	default:
		return nil, missing(expiry, now)
	}
}

// missing is the failure that a process which expires then is gone.
func missing(expiry, now time.Time) error {
	if now.Before(expiry.Add(-clockSkew)) {
		return resourceNotFound.failure()
	}
	return resourceExpired.failure()
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
