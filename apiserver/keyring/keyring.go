// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyring keeps the keys that sign ids in a Secret, which all replicas of the
// facade share.
//
// The installation creates the Secret empty, so that the facade needs no right to create
// Secrets. The first replica that starts puts a key into it. Every entry is one key of 32
// random bytes or more. Entries have the names k1, k2 and so on; the last one, with
// shorter names first, is the newest. All keys verify.
//
// To rotate, add an entry. Every replica reads the Secret periodically. It signs with a
// new key when it has known the key for so long that all other replicas must know it, too.
// Remove the old entry when nobody needs the 404 and 410 of its ids any more.
package keyring

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/apiserver/processid"
)

// SecretName is the name of the Secret.
const SecretName = "procman-id-keys"

// firstKey is the name of the entry that the facade creates.
const firstKey = "k1"

const (
	callTimeout = 10 * time.Second
	retryPause  = time.Second
)

const (
	// refreshEvery is how often a replica reads the Secret.
	refreshEvery = 10 * time.Second
	// settled is how long a replica knows a new key before it signs with it.
	settled = 60 * time.Second
	// staleAfter is the time after the last successful read from which on other replicas
	// can sign with a key that this one does not know.
	staleAfter = settled - refreshEvery
)

// Secrets is the part of a client that this package uses. It must not be cached.
type Secrets interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
	Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error
}

// Ring contains the keys of the Secret. Keep refreshes it.
type Ring struct {
	secrets Secrets
	name    client.ObjectKey

	keys  atomic.Pointer[processid.Ring]
	fresh atomic.Int64 // when the Secret was last read, in Unix nanoseconds
	// since is when each key was first seen, by the hash of the key: a name can be removed
	// and used again for another key. Only refresh uses it.
	since map[[sha256.Size]byte]time.Time
}

// Fixed returns a ring that does not change.
func Fixed(keys *processid.Ring) *Ring {
	r := &Ring{}
	r.keys.Store(keys)
	return r
}

// New returns a new id; see processid.Ring.
func (r *Ring) New(namespace, typeName string, expiry time.Time) string {
	return r.keys.Load().New(namespace, typeName, expiry)
}

// Verify reports whether an id was given out; see processid.Ring.
func (r *Ring) Verify(namespace, typeName, id string) (expiry time.Time, ok bool) {
	return r.keys.Load().Verify(namespace, typeName, id)
}

// Stale reports whether at now another replica can sign with a key that this one does not
// know, because the last reads of the Secret failed.
func (r *Ring) Stale(now time.Time) bool {
	fresh := r.fresh.Load()
	return fresh != 0 && now.Sub(time.Unix(0, fresh)) > staleAfter
}

// Load returns the ring. It puts a key into the Secret if that is empty. After an error
// it tries again every second; when the timeout has passed it returns the last error. It
// logs why it waits.
func Load(ctx context.Context, log logr.Logger, secrets Secrets, namespace string, timeout time.Duration) (*Ring, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := &Ring{secrets: secrets, name: client.ObjectKey{Namespace: namespace, Name: SecretName}}
	for {
		err := r.refresh(ctx, true)
		if err == nil {
			return r, nil
		}
		log.Info("waiting for the id keys", "cause", err.Error())
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("load id keys: %w", err)
		case <-time.After(retryPause):
		}
	}
}

// Keep refreshes the ring until ctx ends. It logs errors: the Secret cannot be read, or
// has no valid keys. Then the ring does not change.
func (r *Ring) Keep(ctx context.Context, log logr.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshEvery):
		}
		if err := r.refresh(ctx, false); err != nil && ctx.Err() == nil {
			log.Error(err, "refresh of the id keys failed")
		}
	}
}

// refresh replaces the keys by those of the Secret; see read.
func (r *Ring) refresh(ctx context.Context, create bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now := time.Now()
	data, err := r.read(ctx, create)
	if err != nil {
		return explain(r.name, err)
	}
	names := slices.SortedFunc(maps.Keys(data), func(a, b string) int { // newest first
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
	})
	since := map[[sha256.Size]byte]time.Time{} // without the keys that were removed
	seen := make([]time.Time, len(names))
	for i, name := range names {
		key := sha256.Sum256(data[name])
		first, known := r.since[key]
		if !known {
			first = now
		}
		since[key], seen[i] = first, first
	}
	keys, err := ringOf(data, signingFirst(names, seen, now))
	if err != nil {
		return err // a key that is not valid yet does not count as seen
	}
	r.since = since
	r.keys.Store(keys)
	r.fresh.Store(now.UnixNano())
	return nil
}

// signingFirst returns the names with that of the signing key first. The newest key that
// was seen long enough ago signs; if there is none, the oldest, which all replicas know.
func signingFirst(names []string, seen []time.Time, now time.Time) []string {
	signing := len(names) - 1
	for i, at := range seen {
		if now.Sub(at) >= settled {
			signing = i
			break
		}
	}
	if signing < 0 {
		return nil
	}
	return slices.Concat(names[signing:signing+1], names[:signing], names[signing+1:])
}

// read returns the data of the Secret. If it is empty and create is true, read puts a key
// into it. If another replica does so at the same time, read returns the key of that
// replica.
func (r *Ring) read(ctx context.Context, create bool) (map[string][]byte, error) {
	var secret corev1.Secret
	if err := r.secrets.Get(ctx, r.name, &secret); err != nil || len(secret.Data) > 0 || !create {
		return secret.Data, err
	}
	key := make([]byte, processid.MinKeyBytes)
	_, _ = rand.Read(key) // documented never to fail
	secret.Data = map[string][]byte{firstKey: key}
	err := r.secrets.Update(ctx, &secret) // with the resourceVersion just read
	if apierrors.IsConflict(err) {
		return r.read(ctx, false)
	}
	return secret.Data, err
}

// ringOf returns a ring of the entries of the Secret, in the order of names.
func ringOf(data map[string][]byte, names []string) (*processid.Ring, error) {
	if len(data) == 0 {
		return nil, errors.New("the Secret has no key")
	}
	keys := make([][]byte, len(names))
	for i, name := range names {
		if len(data[name]) < processid.MinKeyBytes {
			return nil, fmt.Errorf("entry %s of the Secret has %d bytes, fewer than %d", name, len(data[name]), processid.MinKeyBytes)
		}
		keys[i] = data[name]
	}
	return processid.NewRing(keys...)
}

// explain adds to an error what an operator has to do.
func explain(key client.ObjectKey, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the Secret %s does not exist; the installation must create it, empty: %w", key, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the service account of the facade must be allowed to get and update the Secret %s: %w", key, err)
	default:
		return err
	}
}
