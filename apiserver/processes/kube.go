// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

const (
	// callTimeout bounds one call to the API server.
	callTimeout = 10 * time.Second
	// callAttempts bounds how often a write with an unknown outcome is sent.
	callAttempts = 3
	// retryPause is the pause before a write is sent again.
	retryPause = 200 * time.Millisecond
)

// Live reads and writes at the API server itself, not through a cache.
type Live interface {
	client.Reader
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
	Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error
	Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error
}

// kube makes single calls to the API server. It sends a write again if the outcome
// is unknown.
type kube struct{ live Live }

// find returns a Process, nil if there is none.
func (k kube) find(ctx context.Context, name types.NamespacedName) (*v1alpha1.Process, error) {
	p := &v1alpha1.Process{}
	err := withTimeout(ctx, func(ctx context.Context) error { return k.live.Get(ctx, name, p) })
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, classify("read process", err)
	default:
		return p, nil
	}
}

// create makes a Process durable and returns it as the API server has it.
//
// A Process that exists already with this name, type and input counts as created: a
// call whose answer was lost made it, or another request with the same idempotency
// key. Names contain 80 random bits.
func (k kube) create(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	var created *v1alpha1.Process
	calls, err := k.retry(ctx, func(ctx context.Context) error {
		created = p.DeepCopy()
		return k.live.Create(ctx, created)
	})
	switch {
	case apierrors.IsAlreadyExists(err):
		return k.existing(ctx, p)
	case err == nil:
		return created, nil
	case calls == 1 && !outcomeUnknown(err):
		return nil, refusedError{classify("create process", err)}
	case calls > 1:
		// An earlier call can have succeeded even if the last one was refused, for
		// example by a quota that the earlier call used up.
		if found, err := k.existing(ctx, p); err == nil {
			return found, nil
		}
	}
	return nil, classify("create process", err)
}

// existing returns the Process that an earlier create with the name of p made.
func (k kube) existing(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	found, err := k.find(ctx, client.ObjectKeyFromObject(p))
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, errors.New("create process: the name exists, but no Process has it")
	case found.Spec.Type != p.Spec.Type || !sameInput(found, p):
		return nil, errors.New("create process: another Process has its name")
	default:
		return found, nil
	}
}

// sameInput reports whether two Processes, which the API server has or gets, have the same
// input.
func sameInput(a, b *v1alpha1.Process) bool {
	return a.Spec.StoredInput.SHA256 == b.Spec.StoredInput.SHA256 && a.Spec.Input == b.Spec.Input
}

// delete deletes a Process together with the objects that it owns. Found is false if
// it did not exist any more.
func (k kube) delete(ctx context.Context, p *v1alpha1.Process) (found bool, err error) {
	calls, err := k.retry(ctx, func(ctx context.Context) error {
		// The UID protects another object that has taken the name.
		return k.live.Delete(ctx, p.DeepCopy(), client.Preconditions{UID: &p.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return calls > 1, nil // an earlier call whose answer was lost deleted it
	case err != nil:
		return false, classify("delete process", err)
	default:
		return true, nil
	}
}

// retry makes a call until its outcome is known, at most callAttempts times. It returns
// how often it made the call.
func (k kube) retry(ctx context.Context, call func(context.Context) error) (calls int, err error) {
	for calls = 1; ; calls++ {
		err = withTimeout(ctx, call)
		if err == nil || !outcomeUnknown(err) || calls == callAttempts {
			return calls, err
		}
		select {
		case <-ctx.Done():
			return calls, errors.Join(ctx.Err(), err)
		case <-time.After(retryPause):
		}
	}
}

func withTimeout(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx)
}

// outcomeUnknown reports whether a write that returned err can have succeeded, or can
// succeed if it is sent again.
func outcomeUnknown(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true // there was no answer: the connection broke, or the time was over
	}
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err)
}

// classify turns an error of the API server into a BusyError if the request can
// succeed later.
func classify(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if !apierrors.IsTooManyRequests(err) && !overQuota(err) {
		return err
	}
	after := 1
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok && seconds > 0 {
		after = min(seconds, math.MaxInt16)
	}
	return &BusyError{RetryAfter: time.Duration(after) * time.Second, Err: err}
}

// overQuota reports whether a ResourceQuota refused a create. The status of such an
// error is an ordinary Forbidden without causes; only the text, as the plugin of
// Kubernetes begins it, tells.
func overQuota(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), ": exceeded quota: ")
}
