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
		id := r.New(typeName, expiry)
		if !label.MatchString(id) || len(id) != processid.Length {
			t.Fatalf("id %q is no DNS label of %d characters", id, processid.Length)
		}
		if got, ok := r.Verify(typeName, id); !ok || !got.Equal(expiry) {
			t.Fatalf("Verify = %v, %t, want %v", got, ok, expiry)
		}
		if _, ok := r.Verify(typeName+"x", id); ok {
			t.Fatal("the id is good for another type")
		}
		if _, ok := ring(t, key(2)).Verify(typeName, id); ok {
			t.Fatal("the id is good under another key")
		}
		if got, ok := ring(t, key(2), key(1)).Verify(typeName, id); !ok || !got.Equal(expiry) {
			t.Fatal("the id is lost when a newer key is added")
		}
		altered := []byte(id)
		i := rapid.IntRange(0, len(altered)-1).Draw(t, "position")
		b := rapid.SampledFrom([]byte("abcdefghijklmnopqrstuvwxyz234567ABC0189-=\n")).Draw(t, "character")
		if altered[i] == b {
			return
		}
		altered[i] = b
		if _, ok := r.Verify(typeName, string(altered)); ok {
			t.Fatalf("the id %q is still good as %q", id, altered)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	r := ring(t, key(1))
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z2-7]{40}`)).Draw(t, "id")
		if _, ok := r.Verify("echo", id); ok {
			t.Fatalf("the made-up id %q is good", id)
		}
	})
}

func TestIdsAreDistinct(t *testing.T) {
	r := ring(t, key(1))
	seen := map[string]bool{}
	for range 1000 {
		id := r.New("echo", time.Unix(1, 0))
		if seen[id] {
			t.Fatalf("the id %s came twice", id)
		}
		seen[id] = true
	}
}

// Ids outlive releases: what was given out yesterday must verify for ever.
func TestFormIsStable(t *testing.T) {
	const id = "abyn2vjf5fn3vam3hncjivfl7w2irmuk435lyfdo"
	expiry, ok := ring(t, key(7)).Verify("echo", id)
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
