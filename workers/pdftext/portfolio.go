// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/zlib"
	"io"
	"regexp"
)

var (
	// collection matches the entry that makes a document a portfolio: a cover page with
	// other documents attached (ISO 32000-1, section 12.3.5).
	collection = regexp.MustCompile(`/Collection\s*(<<|\d+\s+\d+\s+R)`)
	// objectStream matches the start of a stream that contains objects.
	objectStream = regexp.MustCompile(`/ObjStm\b[^>]*>>\s*stream\r?\n`)
)

// maxObjects is how many bytes of a document's object streams are searched in total.
const maxObjects = 16 << 20

// isPortfolio reports whether a document is a portfolio. Poppler does not report that.
func isPortfolio(pdf []byte) bool {
	if collection.Match(pdf) {
		return true
	}
	left := int64(maxObjects)
	for _, match := range objectStream.FindAllIndex(pdf, -1) {
		objects, err := zlib.NewReader(bytes.NewReader(pdf[match[1]:]))
		if err != nil {
			continue // another filter, or damaged
		}
		text, _ := io.ReadAll(io.LimitReader(objects, left))
		if collection.Match(text) {
			return true
		}
		if left -= int64(len(text)); left <= 0 {
			return false
		}
	}
	return false
}

// nullPages matches a list of pages that contains null, which is a page that was removed.
// Poppler reads no page after it.
var nullPages = regexp.MustCompile(`/Kids\s*\[[^\]]*\bnull\b[^\]]*\]`)

// withoutNullPages returns the document without such pages. It does not change the
// offsets of the objects.
func withoutNullPages(pdf []byte) []byte {
	return nullPages.ReplaceAllFunc(pdf, func(list []byte) []byte {
		return bytes.ReplaceAll(list, []byte("null"), []byte("    "))
	})
}
