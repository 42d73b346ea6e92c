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
		id := r.New(typeName, expiry.Add(time.Duration(rapid.Int64Range(0, 1e9-1).Draw(t, "fraction"))))
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
		b := rapid.SampledFrom([]byte("0123456789abcdefghijklmnopqrstuvwxyzABC-=\n")).Draw(t, "character")
		if altered[i] == b {
			return
		}
		altered[i] = b
		if _, ok := r.Verify(typeName, string(altered)); ok {
			t.Fatalf("the id %q is still good as %q", id, altered)
		}
	})
}

// Whatever has been made later sorts behind, also within a second.
func TestIdsSortAsTheyWereMade(t *testing.T) {
	r := ring(t, key(1))
	rapid.Check(t, func(t *rapid.T) {
		earlier := time.Unix(0, rapid.Int64Range(0, 1<<62).Draw(t, "expiry"))
		later := earlier.Add(time.Duration(rapid.Int64Range(int64(20*time.Microsecond), int64(time.Hour)).Draw(t, "after")))
		if a, b := r.New("echo", earlier), r.New("echo", later); a >= b {
			t.Fatalf("%s of %s does not sort before %s of %s", a, earlier, b, later)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	r := ring(t, key(1))
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-v]{40}`)).Draw(t, "id")
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
	const id = "01odql95lm8qh18v4rhsqtfi90k4i1ear8kcd7j1"
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
