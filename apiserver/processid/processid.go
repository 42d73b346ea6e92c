// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package processid makes and verifies the ids of processes. An id proves itself: a
// program that has the key ring can distinguish an id that was given out, for this
// namespace and process type, from an invented one, and knows when its process expires.
// It needs no record of the processes that no longer exist.
//
// An id is 25 bytes in lower-case base32hex (RFC 4648, section 7, no padding): 40
// characters of 0-9 and a-v. So it is a DNS label and can name a Kubernetes object.
//
//	7 bytes   when the process expires, in units of 1/65536 s since 1970, big-endian
//	10 bytes  random (docs/contract.md, section 1: 80 bits or more)
//	8 bytes   HMAC-SHA256 over both, the namespace and the process type, truncated
//
// Base32hex sorts as its bytes do. So the ids of processes of one lifetime sort by the
// time of their creation on the clocks of the replicas, also within a second: Kubernetes
// keeps only whole seconds of it.
package processid

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// MinKeyBytes is the size of the shortest key allowed.
const MinKeyBytes = 32

// Length is the number of characters of an id.
const Length = 40

const (
	expiryBytes  = 7
	randomBytes  = 10
	payloadBytes = expiryBytes + randomBytes
	macBytes     = 8

	fractionBits = 16
	maxExpiry    = 1<<(8*expiryBytes-fractionBits) - 1 // seconds
)

var encoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// Ring contains the keys that sign ids. It does not change.
type Ring struct {
	keys [][]byte // the first signs
}

// NewRing returns a ring of keys. The first signs and all verify. Every key must have
// MinKeyBytes or more.
func NewRing(keys ...[]byte) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("a key ring needs a key")
	}
	for i, key := range keys {
		if len(key) < MinKeyBytes {
			return nil, fmt.Errorf("key %d of the ring has %d bytes, fewer than %d", i, len(key), MinKeyBytes)
		}
	}
	return &Ring{keys: keys}, nil
}

// New returns a new id for a process of the type with this object name in a namespace,
// which expires in the second of expiry. The fraction of that second only sorts. An id has
// 80 random bits.
func (r *Ring) New(namespace, typeName string, expiry time.Time) string {
	seconds := min(max(expiry.Unix(), 0), maxExpiry)
	fraction := int64(expiry.Nanosecond()) << fractionBits / int64(time.Second)
	units := binary.BigEndian.AppendUint64(nil, uint64(seconds<<fractionBits|fraction))
	payload := append(units[len(units)-expiryBytes:], make([]byte, randomBytes)...)
	_, _ = rand.Read(payload[expiryBytes:]) // documented never to fail
	return encoding.EncodeToString(append(payload, mac(r.keys[0], payload, namespace, typeName)...))
}

// Verify reports whether id was given out for a process of this type in this namespace,
// and if so when that process expires.
func (r *Ring) Verify(namespace, typeName, id string) (expiry time.Time, ok bool) {
	if len(id) != Length {
		return time.Time{}, false
	}
	raw, err := encoding.DecodeString(id)
	if err != nil || len(raw) != payloadBytes+macBytes {
		return time.Time{}, false
	}
	payload, sum := raw[:payloadBytes], raw[payloadBytes:]
	for _, key := range r.keys {
		if !hmac.Equal(sum, mac(key, payload, namespace, typeName)) {
			continue
		}
		units := binary.BigEndian.Uint64(append(make([]byte, 8-expiryBytes), payload[:expiryBytes]...))
		return time.Unix(int64(units>>fractionBits), 0).UTC(), true
	}
	return time.Time{}, false
}

// mac returns the truncated proof. The text at the beginning separates these proofs from
// every other use of the same key. A namespace contains no slash, so that the text of one
// pair of namespace and type is never that of another pair.
func mac(key, payload []byte, namespace, typeName string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("procman.dev/process-id/v2\x00"))
	h.Write(payload)
	h.Write([]byte(namespace + "/" + typeName))
	return h.Sum(nil)[:macBytes]
}
