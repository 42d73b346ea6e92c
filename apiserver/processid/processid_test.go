// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processid_test

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"procman.dev/procman/apiserver/processid"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, processid.MinKeyBytes) }

func ring(t interface{ Fatal(...any) }, keys ...[]byte) *processid.Ring {
	r, err := processid.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func TestAnIdProvesItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typeName := rapid.StringMatching(`[a-z][a-z0-9-]{0,20}[a-z0-9]`).Draw(t, "type")
		expiry := time.Unix(rapid.Int64Range(0, 1<<40-1).Draw(t, "expiry"), 0).UTC()
		r := ring(t, key(1))
		namespace := rapid.StringMatching(`[a-z][a-z0-9-]{0,20}[a-z0-9]`).Draw(t, "namespace")
		id := r.New(namespace, typeName, expiry.Add(time.Duration(rapid.Int64Range(0, 1e9-1).Draw(t, "fraction"))))
		if !label.MatchString(id) || len(id) != processid.Length {
			t.Fatalf("id %q is not a DNS label of %d characters", id, processid.Length)
		}
		if got, ok := r.Verify(namespace, typeName, id); !ok || !got.Equal(expiry) {
			t.Fatalf("Verify = %v, %t, want %v", got, ok, expiry)
		}
		if _, ok := r.Verify(namespace, typeName+"x", id); ok {
			t.Fatal("the id is valid for another type")
		}
		if _, ok := r.Verify(namespace+"x", typeName, id); ok {
			t.Fatal("the id is valid in another namespace")
		}
		if _, ok := r.Verify(namespace[:1], namespace[1:]+"/"+typeName, id); ok {
			t.Fatal("the id is valid when a part of the namespace moves into the type")
		}
		if _, ok := ring(t, key(2)).Verify(namespace, typeName, id); ok {
			t.Fatal("the id is valid with another key")
		}
		if got, ok := ring(t, key(2), key(1)).Verify(namespace, typeName, id); !ok || !got.Equal(expiry) {
			t.Fatal("the id is not valid after a newer key was added")
		}
		altered := []byte(id)
		i := rapid.IntRange(0, len(altered)-1).Draw(t, "position")
		b := rapid.SampledFrom([]byte("0123456789abcdefghijklmnopqrstuvwxyzABC-=\n")).Draw(t, "character")
		if altered[i] == b {
			return
		}
		altered[i] = b
		if _, ok := r.Verify(namespace, typeName, string(altered)); ok {
			t.Fatalf("the id %q is still valid as %q", id, altered)
		}
	})
}

// An id that was made later sorts after an earlier one, also within a second.
func TestIdsSortAsTheyWereMade(t *testing.T) {
	r := ring(t, key(1))
	rapid.Check(t, func(t *rapid.T) {
		earlier := time.Unix(0, rapid.Int64Range(0, 1<<62).Draw(t, "expiry"))
		later := earlier.Add(time.Duration(rapid.Int64Range(int64(20*time.Microsecond), int64(time.Hour)).Draw(t, "after")))
		if a, b := r.New("work", "echo", earlier), r.New("work", "echo", later); a >= b {
			t.Fatalf("%s of %s does not sort before %s of %s", a, earlier, b, later)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	r := ring(t, key(1))
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-v]{40}`)).Draw(t, "id")
		if _, ok := r.Verify("work", "echo", id); ok {
			t.Fatalf("the invented id %q is valid", id)
		}
	})
}

func TestIdsAreDistinct(t *testing.T) {
	r := ring(t, key(1))
	seen := map[string]bool{}
	for range 1000 {
		id := r.New("work", "echo", time.Unix(1, 0))
		if seen[id] {
			t.Fatalf("the id %s came twice", id)
		}
		seen[id] = true
	}
}

// Ids outlive releases: an id that was given out must verify for ever.
func TestFormIsStable(t *testing.T) {
	const id = "01odql95000ds8vde023foab84493qae6kifpbd0"
	expiry, ok := ring(t, key(7)).Verify("work", "echo", id)
	if !ok || !expiry.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("Verify(%s) = %v, %t", id, expiry, ok)
	}
}

func TestNewRingRefusesWeakKeys(t *testing.T) {
	for name, keys := range map[string][][]byte{"none": nil, "short": {key(1), key(1)[:31]}} {
		if _, err := processid.NewRing(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
