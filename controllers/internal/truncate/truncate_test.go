// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package truncate_test

import (
	"testing"

	"procman.dev/procman/controllers/internal/truncate"
)

func TestBytes(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "abcd", "abcde": "abcd", "abcö": "abc", "äöü": "äö"} {
		if got := truncate.Bytes(text, 4); got != want {
			t.Errorf("Bytes(%q) = %q, want %q", text, got, want)
		}
	}
}
