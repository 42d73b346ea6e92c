// Package processid makes and checks the ids of processes. An id carries its own
// proof: whoever holds the key ring can tell an id that was given out for a
// process type from one that was made up, and knows when its process expires,
// without asking anybody and without a record of processes that are gone.
//
// An id is 25 bytes in lower-case base32hex (RFC 4648, section 7, no padding), 40
// characters of 0-9 and a-v, and so a DNS label and the name of a Kubernetes object:
//
//	7 bytes   when the process expires, in units of 1/65536 s since 1970, big-endian
//	10 bytes  random (CONTRACT.md, section 1: 80 bits or more)
//	8 bytes   HMAC-SHA256 over both and the name of the process type, truncated
//
// Base32hex sorts as its bytes do. So ids of processes of one type and lifetime
// sort as these were made by the clocks of the replicas, also within a second, which
// is all that Kubernetes keeps of an object's creation.
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

// Ring is the keys that ids are signed with. It does not change.
type Ring struct {
	keys [][]byte // the first signs
}

// NewRing returns a ring of keys in which the first, the newest, signs and all
// verify. Every key has MinKeyBytes or more.
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

// New returns a new id for a process of the type with this object name that
// expires at expiry: in its whole second, and sorted by its fraction. It holds 80
// random bits.
func (r *Ring) New(typeName string, expiry time.Time) string {
	seconds := min(max(expiry.Unix(), 0), maxExpiry)
	fraction := int64(expiry.Nanosecond()) << fractionBits / int64(time.Second)
	units := binary.BigEndian.AppendUint64(nil, uint64(seconds<<fractionBits|fraction))
	payload := append(units[len(units)-expiryBytes:], make([]byte, randomBytes)...)
	_, _ = rand.Read(payload[expiryBytes:]) // documented never to fail
	return encoding.EncodeToString(append(payload, mac(r.keys[0], payload, typeName)...))
}

// Verify says whether id was given out for a process of this type, and if so
// when that process expires.
func (r *Ring) Verify(typeName, id string) (expiry time.Time, ok bool) {
	if len(id) != Length {
		return time.Time{}, false
	}
	raw, err := encoding.DecodeString(id)
	if err != nil || len(raw) != payloadBytes+macBytes {
		return time.Time{}, false
	}
	payload, sum := raw[:payloadBytes], raw[payloadBytes:]
	for _, key := range r.keys {
		if !hmac.Equal(sum, mac(key, payload, typeName)) {
			continue
		}
		units := binary.BigEndian.Uint64(append(make([]byte, 8-expiryBytes), payload[:expiryBytes]...))
		return time.Unix(int64(units>>fractionBits), 0).UTC(), true
	}
	return time.Time{}, false
}

// mac is the truncated proof. The text before the payload keeps these sums apart
// from any other use of the same key.
func mac(key, payload []byte, typeName string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("procman.dev/process-id/v1\x00"))
	h.Write(payload)
	h.Write([]byte(typeName))
	return h.Sum(nil)[:macBytes]
}
