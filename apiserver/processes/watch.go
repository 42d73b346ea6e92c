// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// Watch reports the changes of one process.
type Watch struct {
	// Changed receives a value after every change. Several changes can be one value.
	Changed chan struct{}

	cache *Cache
	key   Key
}

// Watch starts to watch a process, which need not exist yet. The caller stops it.
func (s *Store) Watch(key Key) *Watch { return s.cache.watch(key) }

// Await returns the newest form of p as soon as p is terminal, or else when the wait
// is over, when stop is closed or when ctx ends. It returns ErrNotFound or ErrExpired
// if p is deleted or expires meanwhile. It makes no call to the API server for a
// process that the cache has.
func (s *Store) Await(ctx context.Context, p *v1alpha1.Process, wait time.Duration, stop <-chan struct{}) (*v1alpha1.Process, error) {
	watch := s.Watch(keyOf(p))
	defer watch.Stop()
	timer := s.clock.NewTimer(min(wait, p.ExpirationTime().Sub(s.clock.Now())))
	defer timer.Stop()
	for over := false; ; {
		newest, err := s.Find(ctx, keyOf(p))
		if err != nil || newest.Finished() || over {
			return newest, err
		}
		p = newest
		select {
		case <-watch.Changed:
		case <-timer.C():
			over = true
		case <-stop:
			over = true
		case <-ctx.Done():
			return p, nil
		}
	}
}
