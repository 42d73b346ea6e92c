// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// whiteSpace has the characters that can be between tokens.
const whiteSpace = " \t\r\n"

// notWellFormed is the reason if reason knows nothing better.
const notWellFormed = "is not well-formed JSON"

// wrong describes texts that are not JSON but that people and programs write.
var wrong = []struct {
	start, reason string
}{
	{"'", "has a single quote, expected a double quote"},
	{"NaN", "has NaN, which JSON does not have"},
	{"Infinity", "has Infinity, which JSON does not have"},
	{"True", "has True, expected true"},
	{"False", "has False, expected false"},
	{"None", "has None, expected null"},
	{"undefined", "has undefined, which JSON does not have"},
	{"//", "has a comment, which JSON does not have"},
	{"/*", "has a comment, which JSON does not have"},
	{"#", "has a comment, which JSON does not have"},
	{"+", "has a number with a plus sign, expected none"},
	{".", "has a number without a digit before its point"},
	{"\x1f\x8b", "is compressed with gzip, which needs the header Content-Encoding: gzip"},
	{"\xff\xfe", "is UTF-16, expected UTF-8"},
	{"\xfe\xff", "is UTF-16, expected UTF-8"},
	{"\xef\xbb\xbf", "has a byte order mark"},
	{"\x00", "has a byte 0; it looks like UTF-16, expected UTF-8"},
}

var (
	surrogate     = regexp.MustCompile(`^\\u[0-9A-Fa-f]{4}`) // the decoder accepts all other escapes of this form
	trailingComma = regexp.MustCompile(`^,\s*[}\]]`)
)

// reason describes what is wrong with a text at the byte at which the decoder stopped. It
// quotes nothing of the text.
func reason(text []byte, offset int64) string {
	rest := text[min(offset, int64(len(text))):]
	before := bytes.TrimRight(text[:len(text)-len(rest)], whiteSpace)
	for _, w := range wrong {
		if bytes.HasPrefix(rest, []byte(w.start)) {
			return w.reason
		}
	}
	if len(rest) == 0 {
		return notWellFormed
	}
	char, size := utf8.DecodeRune(rest)
	switch previous := before[max(0, len(before)-1):]; {
	case char == utf8.RuneError && size == 1:
		return "has a byte that is not UTF-8"
	case char < ' ':
		return "has a control character, expected an escape such as \\n"
	case surrogate.Match(rest):
		return "has half of a surrogate pair"
	case char == '\\':
		return "has an escape that JSON does not have"
	case trailingComma.Match(rest):
		return "has a comma before a closing bracket"
	case unicode.IsLetter(char) && string(previous) == "{":
		return "has a key without quotes"
	case '0' <= char && char <= '9' && string(previous) == "0":
		return "has a number that starts with 0"
	default:
		return notWellFormed
	}
}
