// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzPrefer: every wait is between 0 and the longest.
func FuzzPrefer(f *testing.F) {
	for _, prefer := range []string{"wait=10", `wait="10"`, "respond-async, wait=5; x=y", "WAIT = 3", "wait=-1", "wait=99999999999999999999", "wait=", "wait", ",,=;", "x=\"wait=3\""} {
		f.Add(prefer)
	}
	f.Fuzz(func(t *testing.T, prefer string) {
		wait, ok := preferredWait(http.Header{"Prefer": {prefer}})
		if wait < 0 || wait > maxWait || wait%time.Second != 0 || !ok && wait != 0 {
			t.Errorf("%q is a wait of %s (%t)", prefer, wait, ok)
		}
	})
}

// FuzzIdempotencyKey: a key is the text of the header, quoted or bare, or the header is
// refused.
func FuzzIdempotencyKey(f *testing.F) {
	for _, key := range []string{"a", `"a"`, `"a b"`, `"a\"b\\"`, `"open`, `"a"b`, `""`, "", " ", "é", strings.Repeat("x", 255), strings.Repeat("x", 256), "\x00"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		key, err := idempotencyKey(http.Header{keyHeader: {sent}})
		if err != nil {
			if got := problemOf(err); got.cause != invalidInput || got.details.In != "header" {
				t.Errorf("%q is refused as %v", sent, got)
			}
			return
		}
		if !keyPattern.MatchString(key) {
			t.Errorf("%q is the key %q", sent, key)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		if again, err := idempotencyKey(http.Header{keyHeader: {quoted}}); err != nil || again != key {
			t.Errorf("%q is the key %q, but %q is %q (%v)", sent, key, quoted, again, err)
		}
		if trimmed := strings.TrimSpace(sent); trimmed != key && trimmed != quoted && !strings.Contains(sent, `\`) && trimmed != `"`+key+`"` {
			t.Errorf("%q is the key %q", sent, key)
		}
	})
}

func TestMatchesETag(t *testing.T) {
	for sent, want := range map[string]bool{
		`"a"`: true, `W/"a"`: true, `"b", "a"`: true, "*": true, ` "a" `: true, `"b"`: false, "a": false, "": false, `"a`: false,
	} {
		if got := matchesETag(http.Header{"If-None-Match": {sent}}, `"a"`); got != want {
			t.Errorf("If-None-Match: %s is %t, want %t", sent, got, want)
		}
	}
}

func TestPrefers(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/event-stream": true, "Text/Event-Stream": true, "application/json, text/event-stream": true, "application/json;q=0.4, text/event-stream;q=0.5": true,
		"application/json, text/event-stream;q=0.5": false, "*/*, text/event-stream;q=0.1": false, "application/*, text/event-stream;q=0.1": false,
		"*/*;q=0.1, text/event-stream": true, "application/json;q=0.1, */*, text/event-stream;q=0.2": true,
		"": false, "*/*": false, "text/*": false, "application/json": false, "text/event-stream;q=0": false, "text/event-stream;q=0.000": false, "text/event-stream;q=x": false,
	} {
		if got := prefers(http.Header{"Accept": {accept}}, eventsType); got != want {
			t.Errorf("Accept: %s is %t, want %t", accept, got, want)
		}
	}
}
