// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestLibtiffFault(t *testing.T) {
	for name, test := range map[string]struct{ stderr, want string }{
		"nothing":              {"", ""},
		"a warning":            {"TIFFReadDirectory: Warning, Unknown field with tag 37724.\n", ""},
		"a line of a fax":      {"Fax3Decode1D: Warning, Premature EOL at line 384 of strip 0.\n", ""},
		"a missing strip":      {"x: Warning, y.\nTIFFFillStrip: Read error on strip 1.\n", "TIFFFillStrip: Read error on strip 1."},
		"a JPEG cut off":       {"JPEGLib: Warning, Premature end of JPEG file.\n", "JPEGLib: Warning, Premature end of JPEG file."},
		"a JPEG strip cut off": {"JPEGLib: Warning, Corrupt JPEG data: premature end of data segment.", "JPEGLib: Warning, Corrupt JPEG data: premature end of data segment."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := libtiffFault(test.stderr); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
