package apiserver

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"procman.dev/procman/api/v1alpha1"
)

const (
	// cachedPayloadBytes is the largest payload that the cache holds. Larger ones
	// stay at the API server and are read when they are shown, so that what a
	// process costs here does not depend on what it works on.
	cachedPayloadBytes = 16 << 10
	// maxObjectBytes is more than the largest Process: etcd takes 1.5 MiB.
	maxObjectBytes = 2 << 20
	// maxLarge bounds what all answers with such payloads take together.
	maxLarge = 64 << 20
	// largeWait is how long one of them waits for its turn.
	largeWait = 10 * time.Second
)

// elsewhere stands in the cache for a payload that is too large for it. It is no
// JSON, and so is no payload.
const elsewhere = "~"

// LeanProcess is the transform of an informer whose Processes a Cache takes in:
// it drops what nobody looks at, and the large payloads.
var LeanProcess toolscache.TransformFunc = func(obj any) (any, error) {
	if p, ok := obj.(*v1alpha1.Process); ok {
		p.ManagedFields = nil
		delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
		lean(p)
	}
	return obj, nil
}

func lean(p *v1alpha1.Process) {
	for _, payload := range []*string{&p.Spec.Input, &p.Status.Output, &p.Status.ErrorDetails} {
		if len(*payload) > cachedPayloadBytes {
			*payload = elsewhere
		}
	}
}

// whole says whether p holds what it is to show.
func whole(p *v1alpha1.Process, show payloads) bool {
	return (!show.input || p.Spec.Input != elsewhere) && (!show.output || p.Status.Output != elsewhere) && p.Status.ErrorDetails != elsewhere
}

// larges are the answers under way that show large payloads. The same form of the
// same Process is read and held once, however many are sent it.
type larges struct {
	room *semaphore.Weighted // bytes

	mu   sync.Mutex
	held map[string]*large // by UID and resource version
}

// large is one such form. What it holds is set when ready is closed.
type large struct {
	ready   chan struct{}
	leave   func()
	process *v1alpha1.Process // lean
	body    []byte
	err     error
	holders int
}

func newLarges() *larges {
	return &larges{room: semaphore.NewWeighted(maxLarge), held: map[string]*large{}}
}

// enter waits for room for an answer. The failure is that too much is under way.
func (l *larges) enter(ctx context.Context, bytes int64) (leave func(), err error) {
	turn, cancel := context.WithTimeout(ctx, largeWait)
	defer cancel()
	if l.room.Acquire(turn, bytes) != nil {
		return nil, tooManyRequests.failure().with("Retry-After", "1")
	}
	return func() { l.room.Release(bytes) }, nil
}

// get returns what read makes of the form that key stands for, made once for all
// who ask before the last of them has called release.
func (l *larges) get(ctx context.Context, key string, read func(context.Context, *large) error) (*large, func(), error) {
	l.mu.Lock()
	it, ok := l.held[key]
	if !ok {
		it = &large{ready: make(chan struct{}), leave: func() {}}
		l.held[key] = it
	}
	it.holders++
	l.mu.Unlock()
	release := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if it.holders--; it.holders == 0 {
			delete(l.held, key)
			it.leave()
		}
	}
	if ok {
		<-it.ready
	} else {
		l.fill(ctx, it, read)
	}
	if it.err != nil {
		release()
		return nil, nil, it.err
	}
	return it, release, nil
}

// fill makes what others may be waiting for already.
func (l *larges) fill(ctx context.Context, it *large, read func(context.Context, *large) error) {
	defer close(it.ready)
	it.err = errors.New("the answer was not made") // which only a panic leaves so
	leave, err := l.enter(ctx, maxObjectBytes)
	if err == nil {
		it.leave, err = leave, read(ctx, it)
	}
	it.err = err
}

// show returns the body that p is answered with, and the form of p that it shows:
// when payloads of p are elsewhere, as it is there by now. It is held until
// release is called.
func (s *Server) show(ctx context.Context, p *v1alpha1.Process) (_ *v1alpha1.Process, body []byte, release func(), err error) {
	all := payloads{input: true, output: true}
	if whole(p, all) {
		return p, s.body(p, all), func() {}, nil
	}
	it, release, err := s.larges.get(ctx, string(p.UID)+p.ResourceVersion, func(ctx context.Context, it *large) error {
		found, err := s.readWhole(ctx, p)
		if err != nil {
			return err
		}
		it.body = s.body(found, all)
		lean(found)
		it.process = found
		return nil
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return it.process, it.body, release, nil
}

// readWhole returns a Process of the cache with all its payloads, or the failure
// that it is there no more.
func (s *Server) readWhole(ctx context.Context, p *v1alpha1.Process) (*v1alpha1.Process, error) {
	found, err := s.store.readSince(ctx, p)
	now := s.clock.Now()
	switch {
	case err != nil:
		return nil, err
	case found == nil || found.UID != p.UID:
		return nil, missing(p.ExpirationTime(), now)
	}
	s.cache.saw(found, now)
	return served(found, p.Spec.Type, now)
}

// body is p as it is shown. Its input is left out when it is no JSON object.
func (s *Server) body(p *v1alpha1.Process, show payloads) []byte {
	show.input = show.input && s.inputSound(p)
	return body(p, show)
}
