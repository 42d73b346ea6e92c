// Package keyring keeps the keys that ids are signed with in a Secret, which all
// replicas of the facade share.
//
// The installation ships the Secret empty, so that the facade needs no right to
// create Secrets; the first replica to start puts a key into it. Every entry is
// one key of 32 random bytes or more. Entries are called k1, k2 and so on: the
// one that comes last, shorter names first, is the newest. All verify.
//
// To rotate, add an entry. Every replica reads the Secret again and again; one
// that has known a key for long enough that all others must know it, too, signs
// with it. Remove the old entry when no one needs the 404 and 410 of its ids any
// more.
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

// firstKey is the name of the entry that the facade makes.
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
	// staleAfter is how long after its last successful read a replica has to
	// reckon with keys that it does not know, but others sign with.
	staleAfter = settled - refreshEvery
)

// Secrets is the part of a client that is needed. It must not be cached.
type Secrets interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
	Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error
}

// Ring is the keys of the Secret, as fresh as Keep keeps them.
type Ring struct {
	secrets Secrets
	name    client.ObjectKey

	keys  atomic.Pointer[processid.Ring]
	fresh atomic.Int64 // when the Secret was last read, in Unix nanoseconds
	// since is when each key was first seen, by the hash of the key: a name may be
	// taken out and used again for another one. Of Keep alone.
	since map[[sha256.Size]byte]time.Time
}

// Fixed is a ring that does not change.
func Fixed(keys *processid.Ring) *Ring {
	r := &Ring{}
	r.keys.Store(keys)
	return r
}

// New returns a new id; see processid.Ring.
func (r *Ring) New(namespace, typeName string, expiry time.Time) string {
	return r.keys.Load().New(namespace, typeName, expiry)
}

// Verify says whether an id was given out; see processid.Ring.
func (r *Ring) Verify(namespace, typeName, id string) (expiry time.Time, ok bool) {
	return r.keys.Load().Verify(namespace, typeName, id)
}

// Stale says whether at now another replica may sign with a key that this one
// does not know, because the Secret could not be read for a while.
func (r *Ring) Stale(now time.Time) bool {
	fresh := r.fresh.Load()
	return fresh != 0 && now.Sub(time.Unix(0, fresh)) > staleAfter
}

// Load returns the ring, and fills the Secret first when it is empty. Whatever
// goes wrong, it tries again every second for as long as patience, and then
// returns the last error. It logs why it waits.
func Load(ctx context.Context, log logr.Logger, secrets Secrets, namespace string, patience time.Duration) (*Ring, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := &Ring{secrets: secrets, name: client.ObjectKey{Namespace: namespace, Name: SecretName}}
	for {
		err := r.refresh(ctx, fill)
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

// Keep keeps the ring fresh until ctx ends. A Secret that cannot be read, or
// holds nothing of use, is logged, and the keys stay as they were.
func (r *Ring) Keep(ctx context.Context, log logr.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshEvery):
		}
		if err := r.refresh(ctx, read); err != nil && ctx.Err() == nil {
			log.Error(err, "the id keys stay as they were")
		}
	}
}

// refresh takes over what the Secret holds, as get gets it.
func (r *Ring) refresh(ctx context.Context, get func(context.Context, Secrets, client.ObjectKey) (map[string][]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now := time.Now()
	data, err := get(ctx, r.secrets, r.name)
	if err != nil {
		return explain(r.name, err)
	}
	names := slices.SortedFunc(maps.Keys(data), func(a, b string) int { // the newest first
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
	})
	since := map[[sha256.Size]byte]time.Time{} // without what is no longer there
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
		return err // and a key that cannot be used yet is as good as unseen
	}
	r.since = since
	r.keys.Store(keys)
	r.fresh.Store(now.UnixNano())
	return nil
}

// signingFirst puts the key that signs before the others: the newest that has
// settled since it was first seen, or else the oldest, which everybody knows.
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

// read gets what the Secret holds.
func read(ctx context.Context, secrets Secrets, name client.ObjectKey) (map[string][]byte, error) {
	var secret corev1.Secret
	err := secrets.Get(ctx, name, &secret)
	return secret.Data, err
}

// fill gets what the Secret holds, after it has put a key into an empty one. That
// another replica does so at the same time is no error: the loser reads what the
// winner wrote.
func fill(ctx context.Context, secrets Secrets, name client.ObjectKey) (map[string][]byte, error) {
	var secret corev1.Secret
	if err := secrets.Get(ctx, name, &secret); err != nil || len(secret.Data) > 0 {
		return secret.Data, err
	}
	secret.Data = map[string][]byte{firstKey: newKey()}
	err := secrets.Update(ctx, &secret) // with the resourceVersion just read
	if apierrors.IsConflict(err) {
		return read(ctx, secrets, name)
	}
	return secret.Data, err
}

func newKey() []byte {
	key := make([]byte, processid.MinKeyBytes)
	_, _ = rand.Read(key) // documented never to fail
	return key
}

// ringOf makes a ring of the Secret's entries, the signing one first.
func ringOf(data map[string][]byte, names []string) (*processid.Ring, error) {
	if len(data) == 0 {
		return nil, errors.New("the Secret holds no key")
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

// explain says what an operator has to do about an error.
func explain(key client.ObjectKey, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no Secret %s; the installation has to bring it, empty: %w", key, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the facade's service account may not get and update the Secret %s: %w", key, err)
	default:
		return err
	}
}
