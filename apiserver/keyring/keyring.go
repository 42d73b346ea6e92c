// Package keyring keeps the keys that ids are signed with in a Secret, which all
// replicas of the facade share.
//
// The installation ships the Secret empty, so that the facade needs no right to
// create Secrets; the first replica to start puts a key into it. Every entry is
// one key of 32 random bytes or more. Entries are called k1, k2 and so on: the
// one that comes last, shorter names first, signs, and all verify. To rotate, add
// an entry and restart the facade; remove the old one when the longest lifetime
// of a process has passed and no one needs its 410 any more.
package keyring

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// Secrets is the part of a client that is needed. It must not be cached.
type Secrets interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
	Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error
}

// Load returns the ring, and fills the Secret first when it is empty. Whatever
// goes wrong, it tries again every second for as long as patience, and then
// returns the last error. It logs why it waits.
func Load(ctx context.Context, log logr.Logger, secrets Secrets, namespace string, patience time.Duration) (*processid.Ring, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ring, err := load(ctx, secrets, client.ObjectKey{Namespace: namespace, Name: SecretName})
		if err == nil {
			return ring, nil
		}
		log.Info("waiting for the id keys", "cause", err.Error())
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("load id keys: %w", err)
		case <-time.After(retryPause):
		}
	}
}

// load tries once. That another replica fills the Secret at the same time is no
// error: the loser reads what the winner wrote.
func load(ctx context.Context, secrets Secrets, key client.ObjectKey) (*processid.Ring, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var secret corev1.Secret
	if err := secrets.Get(ctx, key, &secret); err != nil {
		return nil, explain(key, err)
	}
	if len(secret.Data) == 0 {
		secret.Data = map[string][]byte{firstKey: newKey()}
		err := secrets.Update(ctx, &secret) // with the resourceVersion just read
		if apierrors.IsConflict(err) {
			secret = corev1.Secret{}
			err = secrets.Get(ctx, key, &secret)
		}
		if err != nil {
			return nil, explain(key, err)
		}
	}
	return ringOf(secret.Data)
}

func newKey() []byte {
	key := make([]byte, processid.MinKeyBytes)
	_, _ = rand.Read(key) // documented never to fail
	return key
}

// ringOf makes a ring of the Secret's entries, the newest first.
func ringOf(data map[string][]byte) (*processid.Ring, error) {
	if len(data) == 0 {
		return nil, errors.New("the Secret holds no key")
	}
	names := slices.SortedFunc(maps.Keys(data), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
	})
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
