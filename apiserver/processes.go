package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
)

// createTimeout bounds all calls to the API server that a create makes.
const createTimeout = writeTimeout - eventTimeout

// createProcess serves POST /v1/processes/{type}: it checks the input against
// the type, makes the Process, and answers when it is durable.
func (s *Server) createProcess(w http.ResponseWriter, r *http.Request) error {
	pt := s.types.lookup(r.PathValue("type"))
	if pt == nil {
		return s.unusableType("")
	}
	inputSchema, err := pt.usable()
	if err != nil {
		return s.unusableType(err.Error())
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	data, release, err := s.bodies.read(w, r, pt.MaxInputBytes())
	if err != nil {
		return err
	}
	defer release()
	input, refusal := inputIn(data, pt.MaxInputBytes(), inputSchema)
	// A create is completed or undone also when the client disconnects meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), createTimeout)
	defer cancel()
	var created *v1alpha1.Process
	switch {
	case refusal == nil:
		created, err = s.create(ctx, key, pt, input)
	case key != "" && input != nil: // the type may have taken it before it was changed
		created, err = s.keys.original(ctx, key, pt.Name, input)
	}
	if err != nil {
		return err
	}
	if created == nil {
		return refusal
	}
	w.Header().Set("Content-Location", "/v1/processes/"+pt.Name+"/"+created.Name)
	return reply(w, http.StatusOK, accepted(created, string(input)))
}

// create makes a process durable, or returns the one that its key stands for.
func (s *Server) create(ctx context.Context, key string, pt *processType, input []byte) (*v1alpha1.Process, error) {
	if key == "" {
		if err := s.roomFor(pt); err != nil {
			return nil, err
		}
		return s.store.create(ctx, s.newProcess(pt, input))
	}
	return s.createKeyed(ctx, key, pt, input)
}

// roomFor returns the failure of a POST to a type that has as many processes as it
// may have. Each replica counts those that its informer knows of, so that a burst
// may go beyond by as many as come within its delay.
func (s *Server) roomFor(pt *processType) error {
	most := int(pt.Spec.MaxProcessing)
	if most == 0 || s.cache.processingOf(pt.Name) < most {
		return nil
	}
	log := fmt.Errorf("the type %s has its maxProcessing of %d", pt.Name, most)
	return (&failure{cause: tooManyRequests, log: log, refused: true}).with("Retry-After", "1")
}

// newProcess is the Process for an input that has been checked. It is created now
// by our clock, until the API server says when it was. The expiry in its id is by
// our clock, too, and so at most off from that of the object by the difference
// between the two.
func (s *Server) newProcess(pt *processType, input []byte) *v1alpha1.Process {
	now := s.clock.Now()
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.store.namespace, CreationTimestamp: metav1.NewTime(now.Truncate(time.Second))},
		Spec:       v1alpha1.ProcessSpec{Type: pt.Name, LifetimeSeconds: pt.lifetimeSeconds(), Input: string(input)},
	}
	p.Name = s.ring.New(pt.Name, p.ExpirationTime().Add(now.Sub(p.CreationTimestamp.Time)))
	return p
}

// unusableType is the failure of a POST to a type that is not registered, or is
// but cannot be used: then message says why. It names those that can be used.
//
// A type registered a moment ago may not be known yet: the informer is
// milliseconds behind, and asking the API server would let anyone load it with
// made-up names.
func (s *Server) unusableType(message string) error {
	expected, err := json.Marshal(map[string][]string{"enum": append([]string{}, s.types.names()...)})
	if err != nil {
		return internal(fmt.Errorf("list the process types: %w", err))
	}
	return invalidInput.at(schema.Details{In: "path", At: "processType", Expected: expected, Message: message})
}
