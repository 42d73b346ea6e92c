// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
)

// Submission is a process to create.
type Submission struct {
	// Type is the type of the process, in the namespace of the process.
	Type *v1alpha1.ProcessType
	// Input is the input, which the type accepts.
	Input []byte
	// Labels are the client's own references to the process. They do not decide whether
	// two submissions with an idempotency key are the same (ADR 32).
	Labels map[string]string
	// IdempotencyKey makes several submissions the same process; "" for none.
	IdempotencyKey string
}

// digest returns the SHA-256 of the input.
func (s Submission) digest() string { return payload.SHA256(s.Input) }

// Create makes a process durable, or returns the one that its idempotency key belongs
// to. It returns ErrKeyReused, a BusyError if there are too many processes, or a StoreError
// if a large input cannot be stored. If ctx ends, Create still finishes or undoes its
// writes.
func (s *Store) Create(ctx context.Context, sub Submission) (*v1alpha1.Process, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if sub.IdempotencyKey != "" {
		return s.createKeyed(ctx, sub)
	}
	if err := s.checkLimits(sub); err != nil {
		return nil, err
	}
	return s.create(ctx, s.newProcess(sub), sub.Input)
}

// create makes p durable with its input. A large input is written to the store first. If p
// does not refer to it afterwards, it is deleted; the sweeper of the operator deletes what
// is left over.
func (s *Store) create(ctx context.Context, p *v1alpha1.Process, input []byte) (*v1alpha1.Process, error) {
	if len(input) <= payload.MaxInlineBytes {
		p.Spec.Input = string(input)
		return s.kube.create(ctx, p)
	}
	stored, err := payload.Put(ctx, s.objects, p, input)
	if err != nil {
		return nil, refusedError{&StoreError{err}}
	}
	p.Spec.StoredInput = stored
	created, err := s.kube.create(ctx, p)
	_, refused := errors.AsType[refusedError](err)
	if refused || err == nil && created.Spec.StoredInput != stored {
		_ = s.objects.Delete(ctx, payload.Key(p.Namespace, p.Name, stored))
	}
	return created, err
}

// Existing returns the process that was created for the idempotency key and the input
// of a submission. It returns ErrNotFound if there is none.
func (s *Store) Existing(ctx context.Context, sub Submission) (*v1alpha1.Process, error) {
	if sub.IdempotencyKey == "" {
		return nil, ErrNotFound
	}
	return s.keys.existing(ctx, sub)
}

// fullRetryAfter is how long a client waits if something is full. Processes expire all the
// time.
const fullRetryAfter = 10 * time.Second

// checkLimits returns a BusyError if the type has as many unfinished processes as its
// maxProcessing allows, the submission would exceed the Limits, or it would wait longer
// than its lifetime allows. Each replica counts the
// processes that its cache has, so that a burst can exceed a bound by what arrives within
// the cache's delay.
func (s *Store) checkLimits(sub Submission) error {
	t := sub.Type
	bound := int(t.Spec.MaxProcessing)
	if bound > 0 && s.cache.processingOf(types.NamespacedName{Namespace: t.Namespace, Name: t.Name}) >= bound {
		return refusedError{&BusyError{RetryAfter: time.Second, Err: fmt.Errorf("type %s has its maxProcessing of %d", t.Name, bound)}}
	}
	if bound := s.limits.Waiting; bound > 0 && s.cache.allWaiting() >= bound {
		return refusedError{&BusyError{
			RetryAfter: fullRetryAfter, Message: "too many processes wait for a worker", Err: fmt.Errorf("%d processes wait", bound),
		}}
	}
	if err := s.checkWait(t); err != nil {
		return refusedError{err}
	}
	used := s.cache.used()
	input := int64(len(sub.Input))
	if input <= payload.MaxInlineBytes {
		used.etcd += input
	} else {
		used.store += input
	}
	used.etcd += objectBytes
	for _, resource := range []struct {
		name         string
		bytes, limit int64
	}{{"the cluster's storage of processes", used.etcd, s.limits.Etcd}, {"the store of large payloads", used.store, s.limits.Store}} {
		if resource.limit > 0 && resource.bytes > resource.limit {
			return refusedError{&BusyError{
				RetryAfter: fullRetryAfter, Message: resource.name + " is full",
				Err: fmt.Errorf("%s would have %d bytes, of at most %d", resource.name, resource.bytes, resource.limit),
			}}
		}
	}
	return nil
}

// newProcess returns the Process of a submission, without its input. The id contains an expiry by this
// replica's clock. The object's own expiry uses the API server's creation time, so the
// two can differ by the difference of the two clocks.
func (s *Store) newProcess(sub Submission) *v1alpha1.Process {
	now, t := s.clock.Now(), sub.Type
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, CreationTimestamp: metav1.NewTime(now.Truncate(time.Second))},
		Spec: v1alpha1.ProcessSpec{
			Type: t.Name, Labels: sub.Labels,
			LifetimeSeconds: cmp.Or(t.Spec.LifetimeSeconds, v1alpha1.DefaultLifetimeSeconds),
		},
	}
	p.Name = s.ring.New(t.Namespace, t.Name, p.ExpirationTime().Add(now.Sub(p.CreationTimestamp.Time)))
	return p
}

// createKeyed creates the process of an idempotency key, or returns the one that
// exists.
func (s *Store) createKeyed(ctx context.Context, sub Submission) (*v1alpha1.Process, error) {
	digest := sub.digest()
	for range callAttempts {
		p := s.newProcess(sub)
		lease, existing, err := s.keys.claim(ctx, sub.IdempotencyKey, digest, p)
		if err != nil || existing != nil {
			return existing, err
		}
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.AnnotationIdempotencyKey, lease.Name)
		var created *v1alpha1.Process
		if *lease.Spec.HolderIdentity == p.Name {
			created, err = s.createClaimed(ctx, lease, p, sub)
		} else {
			created, err = s.createShared(ctx, lease, p, sub.Input)
		}
		if err != nil {
			return nil, err
		}
		// While our create was running, another request with the key can have created
		// the process and a client can have deleted it; or it has expired.
		switch held, err := s.keys.holds(ctx, lease, created); {
		case err != nil:
			return nil, err
		case held:
			return created, nil
		}
		if _, err := s.kube.delete(ctx, created); err != nil {
			return nil, err
		}
		s.cache.recordDeleted(created, s.clock.Now())
	}
	return nil, errors.New("create process for an idempotency key: the key expired before the process was created, in every attempt")
}

// createClaimed creates p, for which this request claimed the key of the lease. It
// releases the key if the create is refused.
func (s *Store) createClaimed(ctx context.Context, lease *coordinationv1.Lease, p *v1alpha1.Process, sub Submission) (*v1alpha1.Process, error) {
	err := s.checkLimits(sub)
	if err == nil {
		p, err = s.create(ctx, p, sub.Input)
	}
	if _, ok := errors.AsType[refusedError](err); ok {
		err = errors.Join(err, s.keys.release(ctx, lease))
	}
	return p, err
}

// createShared creates p under the id for which another request claimed the key of the
// lease. The Process of that request can exist; if not, that request failed, and p
// expires when the id says.
func (s *Store) createShared(ctx context.Context, lease *coordinationv1.Lease, p *v1alpha1.Process, input []byte) (*v1alpha1.Process, error) {
	p.Name = *lease.Spec.HolderIdentity
	p.Spec.LifetimeSeconds = max(int32(expiryOf(lease).Sub(s.clock.Now().Truncate(time.Second))/time.Second), 1)
	return s.create(ctx, p, input)
}
