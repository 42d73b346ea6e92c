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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

const (
	// callTimeout bounds one call to the API server.
	callTimeout = 10 * time.Second
	// callAttempts bounds how often a write is sent when its outcome is not known.
	// With callTimeout it stays within the server's write timeout.
	callAttempts = 3
	// retryPause is between two of them.
	retryPause = 200 * time.Millisecond
)

// Live reads and writes at the API server itself, past every cache.
type Live interface {
	client.Reader
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
	Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error
	Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error
}

// store is the API server, where Processes are.
type store struct {
	live      Live
	namespace string
}

// read asks for the Process called name, nil when there is none.
func (s *store) read(ctx context.Context, name string, options ...client.GetOption) (*v1alpha1.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var p v1alpha1.Process
	err := s.live.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &p, options...)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fromKubernetes("read process", err)
	default:
		return &p, nil
	}
}

// readSince asks for a Process as it is since a form that the cache has. Without
// that, a read would cost etcd one, too.
func (s *store) readSince(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	return s.read(ctx, p.Name, &client.GetOptions{Raw: &metav1.GetOptions{ResourceVersion: p.ResourceVersion}})
}

// create makes a Process durable and returns it as the API server has it.
//
// A Process of that name, type and input that is there already is the one asked
// for, made by a call whose answer was lost or for the same idempotency key:
// names hold 80 random bits.
func (s *store) create(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	var created *v1alpha1.Process
	calls := 0
	err := s.insist(ctx, func(ctx context.Context) error {
		calls++
		created = p.DeepCopy()
		return s.live.Create(ctx, created)
	})
	switch {
	case apierrors.IsAlreadyExists(err):
		return s.adopt(ctx, p)
	case err != nil:
		// A call before that which was refused, by a quota that it filled itself, say,
		// may have succeeded.
		if calls > 1 {
			if found, err := s.adopt(ctx, p); err == nil {
				return found, nil
			}
		}
		f := fromKubernetes("create process", err)
		f.refused = calls == 1 && !outcomeUnknown(err)
		return nil, f
	default:
		return created, nil
	}
}

// delete deletes a Process, and with it what hangs on it. Found is false when it
// was gone already.
func (s *store) delete(ctx context.Context, p *v1alpha1.Process) (found bool, err error) {
	calls := 0
	err = s.insist(ctx, func(ctx context.Context) error {
		calls++
		// Another object that has taken the name is not ours to delete.
		return s.live.Delete(ctx, p.DeepCopy(), client.Preconditions{UID: &p.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return calls > 1, nil // it was there before the call whose answer was lost
	case err != nil:
		return false, fromKubernetes("delete process", err)
	default:
		return true, nil
	}
}

// insist makes a call that may be made again, until its outcome is known or it
// has been made callAttempts times.
func (s *store) insist(ctx context.Context, call func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := once(ctx, call)
		if err == nil || !outcomeUnknown(err) || attempt == callAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(retryPause):
		}
	}
}

func once(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx)
}

// adopt returns the Process that another create of the same name has left.
func (s *store) adopt(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	found, err := s.read(ctx, p.Name)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, internal(errors.New("create process: its name is taken, and nobody has it"))
	case found.Spec.Type != p.Spec.Type || found.Spec.Input != p.Spec.Input:
		return nil, internal(errors.New("create process: its name is taken by another"))
	default:
		return found, nil
	}
}

// outcomeUnknown says whether a write that ended with err may have happened, or
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
// words alone, here as its plugin begins them: its status is an ordinary Forbidden
// without causes.
func overQuota(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), ": exceeded quota: ")
}
