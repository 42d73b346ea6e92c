package apiserver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

const (
	// callTimeout bounds one call to the API server.
	callTimeout = 10 * time.Second
	// createAttempts bounds how often a create is sent when its outcome is not
	// known. With callTimeout it stays within the server's write timeout.
	createAttempts = 3
	// retryPause is between two of them.
	retryPause = 200 * time.Millisecond
)

// Live reads and writes at the API server itself, past every cache.
type Live interface {
	client.Reader
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
}

// store is where Processes are.
type store struct {
	cache     client.Reader
	live      Live
	namespace string
}

// cached returns the Process called name as the informer knows it, nil when it
// knows none.
func (s *store) cached(ctx context.Context, name string) (*v1alpha1.Process, error) {
	p, err := s.get(ctx, s.cache, name)
	if err != nil {
		return nil, fmt.Errorf("read process from the cache: %w", err)
	}
	return p, nil
}

// read asks the API server itself, nil when there is none.
func (s *store) read(ctx context.Context, name string) (*v1alpha1.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p, err := s.get(ctx, s.live, name)
	if err != nil {
		return nil, fromKubernetes("read process", err)
	}
	return p, nil
}

func (s *store) get(ctx context.Context, from client.Reader, name string) (*v1alpha1.Process, error) {
	var p v1alpha1.Process
	err := from.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &p)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// create makes a Process durable and returns it as the API server has it.
//
// When an answer is lost, it asks again under the same name. A Process of that
// name with that spec is then the one asked for: names hold 88 random bits.
func (s *store) create(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	for attempt := 1; ; attempt++ {
		created, err := s.createOnce(ctx, p)
		if err == nil {
			return created, nil
		}
		if apierrors.IsAlreadyExists(err) {
			return s.adopt(ctx, p)
		}
		if !outcomeUnknown(err) || attempt == createAttempts {
			return nil, fromKubernetes("create process", err)
		}
		select {
		case <-ctx.Done():
			return nil, fromKubernetes("create process", errors.Join(ctx.Err(), err))
		case <-time.After(retryPause):
		}
	}
}

func (s *store) createOnce(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	created := p.DeepCopy()
	if err := s.live.Create(ctx, created); err != nil {
		return nil, err
	}
	return created, nil
}

// adopt returns the Process that an earlier, unanswered create has left.
func (s *store) adopt(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	found, err := s.read(ctx, p.Name)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, internal(errors.New("create process: its name is taken, and nobody has it"))
	case found.Spec != p.Spec:
		return nil, internal(errors.New("create process: its name is taken by another"))
	default:
		return found, nil
	}
}

// outcomeUnknown says whether a create that ended with err may have happened, or
// may happen when sent again.
func outcomeUnknown(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true // no answer at all: the connection, or our patience, broke
	}
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err)
}

// fromKubernetes classifies an error of the API server. No more than the class
// reaches the client.
func fromKubernetes(doing string, err error) *failure {
	err = fmt.Errorf("%s: %w", doing, err)
	if apierrors.IsTooManyRequests(err) || overQuota(err) {
		delay := 1
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok && seconds > 0 {
			delay = min(seconds, math.MaxInt16)
		}
		return (&failure{cause: tooManyRequests, log: err}).with("Retry-After", strconv.Itoa(delay))
	}
	return internal(err)
}

// overQuota says whether a ResourceQuota refused a create. Kubernetes says so in
// words alone: its status is an ordinary Forbidden without causes.
func overQuota(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota")
}
