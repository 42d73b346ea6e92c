// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import "testing"

func TestCanonical(t *testing.T) {
	for name, test := range map[string]struct{ a, b string }{
		"white space":    {`{"a": [1, 2]}`, `{"a":[1,2]}`},
		"order of keys":  {`{"a":1,"b":2}`, `{"b":2,"a":1}`},
		"escapes":        {`{"a":"\u00e9"}`, `{"a":"é"}`},
		"large integers": {`{"a":12345678901234567890}`, `{ "a":12345678901234567890 }`},
	} {
		if canonical(test.a) != canonical(test.b) {
			t.Errorf("%s: %s and %s differ, want that they are the same", name, test.a, test.b)
		}
	}
	for name, test := range map[string]struct{ a, b string }{
		"values":            {`{"a":1}`, `{"a":2}`},
		"order of elements": {`{"a":[1,2]}`, `{"a":[2,1]}`},
		"large integers":    {`{"a":12345678901234567890}`, `{"a":12345678901234567891}`},
	} {
		if canonical(test.a) == canonical(test.b) {
			t.Errorf("%s: %s and %s are the same, want that they differ", name, test.a, test.b)
		}
	}
}

func TestWithPoints(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                              `{}`,
		`{"a": 1}`:                        `{"a": 1.0}`,
		` {"a":[1,-20,3.5,1e2],"1":"2"} `: ` {"a":[1.0,-20.0,3.5,1e2],"1":"2"} `,
	} {
		if got := string(withDecimalPoints([]byte(text))); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
	if canonicalNumbers(`{"a":1.0}`) != canonicalNumbers(`{"a": 1}`) || canonicalNumbers(`{"a":1.5}`) == canonicalNumbers(`{"a":1}`) {
		t.Error("numbers are not compared by value")
	}
}
