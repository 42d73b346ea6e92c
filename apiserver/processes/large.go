// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/budget"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/strictjson"
	"procman.dev/procman/internal/wire"
)

const (
	// maxObjectBytes is more than the largest Process: etcd stores up to 1.5 MiB.
	maxObjectBytes = 2 << 20
	// maxLargeBytes bounds the memory of all answers with payloads that the cache
	// omits.
	maxLargeBytes = 32 << 20
	// largeWait is how long such an answer waits for memory.
	largeWait = 10 * time.Second
)

// hasPayloads reports whether p has the payloads to show.
func hasPayloads(p *v1alpha1.Process, show wire.Payloads) bool {
	return (!show.Input || !payload.IsOmitted(p.Spec.Input)) &&
		(!show.Output || !payload.IsOmitted(p.Status.Output)) &&
		!payload.IsOmitted(p.Status.ErrorDetails)
}

// largeReads are the answers with large payloads that are being read or sent. All
// requests for the same form of the same Process share one, as long as one of them is
// still being sent. golang.org/x/sync/singleflight would share only the read: the
// memory has to be counted until the slowest client has its answer.
type largeReads struct {
	memory *budget.Budget

	mu   sync.Mutex
	open map[version]*largeRead
}

// version identifies one form of a Process, with the payloads to show.
type version struct {
	uid             types.UID
	resourceVersion string
	show            wire.Payloads
}

// largeRead is one such answer.
type largeRead struct {
	users  int
	load   func() (largeAnswer, error) // loads once, for all users
	memory *budget.Reservation         // nil if there was none
}

type largeAnswer struct {
	process  *v1alpha1.Process // trimmed
	position int               // in the queue
	parts    []wire.Part
}

// Shown is a process as it is shown. Close it when the body has been sent.
type Shown struct {
	// Process is the form that the body shows. Its large payloads are omitted.
	Process *v1alpha1.Process
	// QueuePosition is the position that the body shows; 0 if it shows none.
	QueuePosition int
	// Body is its JSON. It is not open.
	Body *Body

	release func()
}

// Close releases what the body takes.
func (s Shown) Close() {
	s.Body.Close()
	s.release()
}

func newLargeReads() *largeReads {
	return &largeReads{memory: budget.New(maxLargeBytes), open: map[version]*largeRead{}}
}

// reserve waits for memory. It returns a BusyError if there is none in time.
func (l *largeReads) reserve(ctx context.Context, bytes int64) (*budget.Reservation, error) {
	ctx, cancel := context.WithTimeout(ctx, largeWait)
	defer cancel()
	r, err := l.memory.Acquire(ctx, bytes)
	if err != nil {
		return nil, &BusyError{RetryAfter: time.Second, Err: err}
	}
	return r, nil
}

// get returns what read returns, which it calls once for all users of a version. The
// caller releases the answer.
func (l *largeReads) get(ctx context.Context, v version, read func(context.Context) (largeAnswer, error)) (largeAnswer, func(), error) {
	l.mu.Lock()
	it := l.open[v]
	if it == nil {
		it = &largeRead{}
		ctx := context.WithoutCancel(ctx) // the other users do not depend on this one's client
		it.load = sync.OnceValues(func() (answer largeAnswer, err error) {
			if it.memory, err = l.reserve(ctx, maxObjectBytes); err != nil {
				return largeAnswer{}, err
			}
			return read(ctx)
		})
		l.open[v] = it
	}
	it.users++
	l.mu.Unlock()
	release := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if it.users--; it.users > 0 {
			return
		}
		delete(l.open, v)
		if it.memory != nil {
			it.memory.Release()
		}
	}
	loaded := false
	defer func() {
		if !loaded { // an error, or a panic of read
			release()
		}
	}()
	answer, err := it.load()
	if err != nil {
		return largeAnswer{}, nil, err
	}
	loaded = true
	return answer, release, nil
}

// Show returns p with the payloads to show. If the cache omits one of them, that is the
// current form, read from the API server. The caller closes it.
//
// It returns ErrNotFound or ErrExpired if p is gone by then, and a BusyError if too
// many large answers are being sent.
func (s *Store) Show(ctx context.Context, p *v1alpha1.Process, show wire.Payloads) (Shown, error) {
	if hasPayloads(p, show) {
		position := s.QueuePosition(p)
		return Shown{p, position, s.newBody(p, s.json(p, show, position)), func() {}}, nil
	}
	answer, release, err := s.large.get(ctx, version{p.UID, p.ResourceVersion, show}, func(ctx context.Context) (largeAnswer, error) {
		found, err := s.readWithPayloads(ctx, p)
		if err != nil {
			return largeAnswer{}, err
		}
		position := s.QueuePosition(found)
		parts := s.json(found, show, position)
		payload.Policy(payload.KeepSmall).Trim(found)
		return largeAnswer{found, position, parts}, nil
	})
	if err != nil {
		return Shown{}, err
	}
	return Shown{answer.process, answer.position, s.newBody(answer.process, answer.parts), release}, nil
}

// readWithPayloads returns the current form of p with all payloads. It returns
// ErrNotFound or ErrExpired if p is gone.
func (s *Store) readWithPayloads(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	var found *v1alpha1.Process
	err := withTimeout(ctx, func(ctx context.Context) (err error) {
		found, err = payload.Read(ctx, s.kube.live, p)
		return err
	})
	now := s.clock.Now()
	switch {
	case apierrors.IsNotFound(err):
		return nil, goneError(p.ExpirationTime(), now)
	case err != nil:
		return nil, classify("read payloads", err)
	}
	s.cache.recordTerminal(found, now)
	return checkServable(found, p.Spec.Type, now)
}

// IsCached reports whether p can be shown without a call to the API server.
func (s *Store) IsCached(p *v1alpha1.Process, show wire.Payloads) bool { return hasPayloads(p, show) }

// json returns p as it is shown. An input that is not a JSON object is left out: POST
// checks inputs, but a Process that was made with kubectl can have any text, or a
// reference to anything.
func (s *Store) json(p *v1alpha1.Process, show wire.Payloads, position int) []wire.Part {
	if show.Input && (p.Spec.Input != "" || !p.Spec.StoredInput.IsZero()) {
		if _, ours := s.ring.Verify(p.Namespace, p.Spec.Type, p.Name); !ours {
			show.Input = p.Spec.StoredInput.IsZero() && strictjson.CheckObject([]byte(p.Spec.Input)) == nil
		}
	}
	return wire.Process(p, show, position)
}
