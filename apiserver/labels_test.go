// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestLabelsOf(t *testing.T) {
	sixteen := strings.Repeat(", x", 15)
	for i := range 15 {
		sixteen = strings.Replace(sixteen, "x", "y"+string(rune('a'+i)), 1)
	}
	for sent, want := range map[string]map[string]string{
		"":                                     nil,
		`invoice=17, user="a b"`:               {"invoice": "17", "user": "a b"},
		`a=tok/en:1, b=*x`:                     {"a": "tok/en:1", "b": "*x"},
		`a=-999999999999999, b=1.50`:           {"a": "-999999999999999", "b": "1.5"},
		`a, b=?1, c=?0`:                        {"a": "true", "b": "true", "c": "false"},
		`a="", b="\"\\"`:                       {"a": "", "b": `"\`},
		`a=1,a=2`:                              {"a": "2"}, // RFC 9651, section 4.2.2
		`*a_b-c.d1=%"f%c3%bcr"`:                {"*a_b-c.d1": "für"},
		`a="` + strings.Repeat("x", 256) + `"`: {"a": strings.Repeat("x", 256)},
		strings.Repeat("a", 64) + "=1":         {strings.Repeat("a", 64): "1"},
	} {
		got, err := labelsOf(http.Header{labelsHeader: {sent}})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", sent, err, diff)
		}
	}
	if got, err := labelsOf(http.Header{labelsHeader: {"a=1", "b=2"}}); err != nil || len(got) != 2 {
		t.Errorf("two headers: %v, %v", got, err)
	}
	if got, err := labelsOf(http.Header{labelsHeader: {"a" + sixteen}}); err != nil || len(got) != 16 {
		t.Errorf("sixteen labels: %v, %v", got, err)
	}
	for _, wrong := range []string{
		"17", `"a"`, "A=1", "a=", "a=1,", "a=1;", "a b", "a=(1 2)", "a=1;b=2", "a;b", "a=:aGVsbG8=:", "a=@1659578233", "a=é", "a=\"\x00\"", `a=%"%00"`, `a=%"%0a"`, `a=%"%ff"`,
		"a" + sixteen + ", z", `a="` + strings.Repeat("x", 257) + `"`, strings.Repeat("a", 65) + "=1", `a=%"` + strings.Repeat("%c3%bc", 257) + `"`,
	} {
		if got, err := labelsOf(http.Header{labelsHeader: {wrong}}); err == nil || problemOf(err).cause != invalidInput || problemOf(err).details.At != labelsHeader {
			t.Errorf("%s: %v, %v", wrong, got, err)
		}
	}
}

// FuzzLabels: labels are within their bounds, or the header is refused.
func FuzzLabels(f *testing.F) {
	for _, labels := range []string{`invoice=17, user="a b"`, `a, b=?0`, `a=%"f%c3%bc"`, `a=(1 2)`, `a=1.5;b`, `a=:YQ==:`} {
		f.Add(labels)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		labels, err := labelsOf(http.Header{labelsHeader: {sent}})
		if err != nil && (problemOf(err).cause != invalidInput || labels != nil) {
			t.Errorf("%q: %v, %v", sent, labels, err)
		}
		if len(labels) > maxLabels {
			t.Errorf("%q has %d labels", sent, len(labels))
		}
		for name, value := range labels {
			if len(name) > maxLabelName || utf8.RuneCountInString(value) > maxLabelCharacters || !utf8.ValidString(name+value) {
				t.Errorf("%q has the label %q of %q", sent, name, value)
			}
		}
	})
}
