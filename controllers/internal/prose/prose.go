// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prose has helpers for texts in a status that people read.
package prose

import "strings"

// Cut returns the first maxBytes bytes of text, without a character that is
// cut in the middle.
func Cut(text string, maxBytes int) string {
	return strings.ToValidUTF8(text[:min(len(text), maxBytes)], "")
}
