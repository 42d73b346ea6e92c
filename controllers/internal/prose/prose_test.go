// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package prose_test

import (
	"testing"

	"procman.dev/procman/controllers/internal/prose"
)

func TestCut(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "abcd", "abcde": "abcd", "abcö": "abc", "äöü": "äö"} {
		if got := prose.Cut(text, 4); got != want {
			t.Errorf("Cut(%q) = %q, want %q", text, got, want)
		}
	}
}
