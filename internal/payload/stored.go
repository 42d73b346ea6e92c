// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package payload

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/store"
)

// Prefix begins the key of every payload in the store.
const Prefix = "processes/"

// Key returns the key of a stored payload of the Process with a namespace and a name.
func Key(namespace, name string, stored v1alpha1.StoredPayload) string {
	return Prefix + namespace + "/" + name + "/" + stored.ID
}

// Owner is what a key says about its payload.
type Owner struct {
	Namespace, Name string // of the Process
	ID              string // of the payload
}

// ParseKey returns what a key says. ok is false if it is not the key of a payload.
func ParseKey(key string) (_ Owner, ok bool) {
	rest, ok := strings.CutPrefix(key, Prefix)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return Owner{}, false
	}
	return Owner{Namespace: parts[0], Name: parts[1], ID: parts[2]}, true
}

// Digest returns the digest that the content of a stored payload must have.
func Digest(stored v1alpha1.StoredPayload) store.Digest {
	return store.Digest{Bytes: int64(stored.Bytes), SHA256: stored.SHA256}
}

// SHA256 returns the SHA-256 of a payload in hexadecimal digits.
func SHA256(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Put writes a payload of p to the store, as a new object. The sweeper of the operator
// deletes it if p does not refer to it a few minutes later.
func Put(ctx context.Context, s *store.Store, p *v1alpha1.Process, text []byte) (v1alpha1.StoredPayload, error) {
	stored := v1alpha1.StoredPayload{ID: strings.ToLower(rand.Text()), Bytes: int32(len(text)), SHA256: SHA256(text)}
	if err := s.Put(ctx, Key(p.Namespace, p.Name, stored), text); err != nil {
		return v1alpha1.StoredPayload{}, err
	}
	return stored, nil
}

// Open returns the content of a stored payload of p; see store.Store.Read.
func Open(ctx context.Context, s *store.Store, p *v1alpha1.Process, stored v1alpha1.StoredPayload) (io.ReadCloser, error) {
	return s.Read(ctx, Key(p.Namespace, p.Name, stored), Digest(stored))
}
