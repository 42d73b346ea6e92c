// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package processes finds, creates, deletes, lists and watches Processes for the
// HTTP facade. It imports no HTTP and reads no ProcessTypes.
//
// It reads from a cache that an informer fills, and it reads and writes at the API
// server where the cache is not enough. Any number of replicas work side by side.
package processes

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/clock"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/internal/store"
)

const (
	// clockSkew is the largest expected difference between the clocks of a replica
	// and of the API server. If a process is missing within clockSkew before the
	// expiry in its id, it counts as expired.
	clockSkew = 2 * time.Second
	// writeTimeout bounds all calls that one Create or one Delete makes.
	writeTimeout = 90 * time.Second
)

// Key identifies a process: its namespace, the object name of its type, and its
// id.
type Key struct {
	Namespace, Type, ID string
}

func keyOf(p *v1alpha1.Process) Key { return Key{p.Namespace, p.Spec.Type, p.Name} }

// name is the name of the Process object.
func (k Key) name() types.NamespacedName {
	return types.NamespacedName{Namespace: k.Namespace, Name: k.ID}
}

func (k Key) typeName() types.NamespacedName {
	return types.NamespacedName{Namespace: k.Namespace, Name: k.Type}
}

// Store is the Processes of the cluster. It is safe for concurrent use.
type Store struct {
	cache   *Cache
	kube    kube
	keys    idempotencyKeys
	ring    *keyring.Ring
	objects *store.Store
	clock   clock.Clock
	large   *largeReads
	queues  *queues
	waits   *waits
	limits  Limits
}

// Limits bound what all Processes of the namespace take together. 0 means no bound. What
// workers produce is counted, but never refused.
type Limits struct {
	// Etcd bounds the Processes in etcd, with the payloads in them, in bytes.
	Etcd int64
	// Store bounds the payloads in the store, in bytes.
	Store int64
	// Waiting bounds how many Processes wait until a worker starts them.
	Waiting int
}

// Config is what a Store uses. Fields are required unless their comment says otherwise.
type Config struct {
	// Cache is filled by an informer.
	Cache *Cache
	// Live reads and writes at the API server itself.
	Live Live
	// Ring signs and verifies ids.
	Ring *keyring.Ring
	// Objects has the large payloads.
	Objects *store.Store
	Clock   clock.Clock
	// MaxConcurrent is that of the process types.
	MaxConcurrent MaxConcurrent
	// Limits bound what Create accepts; the zero Limits set no bound.
	Limits Limits
}

// NewStore returns a Store.
func NewStore(c Config) *Store {
	k := kube{live: c.Live}
	return &Store{
		cache: c.Cache, kube: k, keys: idempotencyKeys{kube: k, cache: c.Cache, clock: c.Clock},
		ring: c.Ring, objects: c.Objects, clock: c.Clock, large: newLargeReads(), limits: c.Limits,
		waits:  newWaits(c.Cache),
		queues: &queues{cache: c.Cache, maxConcurrent: c.MaxConcurrent, byType: map[types.NamespacedName]queue{}},
	}
}

// Find returns a process that has not expired. Its large payloads can be omitted,
// see Show. It returns ErrNotFound or ErrExpired. An id that was never given out
// costs no call to the API server.
func (s *Store) Find(ctx context.Context, key Key) (*v1alpha1.Process, error) {
	now := s.clock.Now()
	cached, deleted := s.cache.get(key.name())
	if cached != nil {
		return checkServable(cached, key.Type, now)
	}
	expiry, verified := s.ring.Verify(key.Namespace, key.Type, key.ID)
	switch {
	case !verified && len(validation.IsDNS1123Label(key.ID)) == 0 && s.ring.Stale(now):
		return nil, errUnverifiable
	case !verified:
		return nil, ErrNotFound
	case !now.Before(expiry):
		return nil, ErrExpired
	case deleted:
		return nil, goneError(expiry, now)
	}
	found, err := s.kube.find(ctx, key.name()) // it was created a moment ago, or deleted
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, goneError(expiry, now)
	}
	s.cache.recordTerminal(found, now)
	return checkServable(found, key.Type, now)
}

// goneError returns why there is no process that would expire at expiry.
func goneError(expiry, now time.Time) error {
	if now.Before(expiry.Add(-clockSkew)) {
		return ErrNotFound
	}
	return ErrExpired
}

// checkServable returns p if it is of the type and has not expired.
func checkServable(p *v1alpha1.Process, typeName string, now time.Time) (*v1alpha1.Process, error) {
	switch {
	case p.Spec.Type != typeName:
		return nil, ErrNotFound
	case p.Expired(now):
		return nil, ErrExpired
	default:
		return p, nil
	}
}

// Delete deletes a process, and with it its Job and its pod. It returns ErrNotFound
// or ErrExpired if there is none. If ctx ends, Delete still finishes its writes.
func (s *Store) Delete(ctx context.Context, key Key) error {
	p, err := s.Find(ctx, key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := s.keys.retire(ctx, p); err != nil {
		return err
	}
	found, err := s.kube.delete(ctx, p)
	if err != nil {
		return err
	}
	s.cache.recordDeleted(p, s.clock.Now())
	if !found {
		return ErrNotFound
	}
	return nil
}
