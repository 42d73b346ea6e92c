// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package truncate limits the size of texts in a status.
package truncate

import "strings"

// Bytes returns the first maxBytes bytes of text. It omits the last character if only a
// part of it fits, so that the result is valid UTF-8.
func Bytes(text string, maxBytes int) string {
	return strings.ToValidUTF8(text[:min(len(text), maxBytes)], "")
}
