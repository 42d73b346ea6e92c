// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"strings"
	"testing"
)

// testMalformed: a body that is not one strict JSON object is refused with the place, the
// byte and a message about what is wrong. A leading byte order mark is ignored.
func (s *suite) testMalformed(t *testing.T) {
	const mark = "\ufeff"
	for name, test := range map[string]struct {
		body, at string
		offset   int64
		message  string // a part of it
	}{
		"empty":                   {``, "", 0, "empty"},
		"malformed":               {`{"input":{"any":}}`, "input.any", 16, "JSON"},
		"cut off":                 {`{"input":{}`, "", 11, "ends too early"},
		"not an object":           {`[]`, "", 0, "object"},
		"trailing garbage":        {`{"input":{}} x`, "", 13, "after its end"},
		"two objects":             {`{"input":{}}{"input":{}}`, "", 12, "after its end"},
		"duplicate keys":          {`{"input":{"any":{"a":1,"a":1}}}`, "input.any.a", 23, "twice"},
		"duplicate keys, escaped": {`{"input":{"any":{"a":1,"\u0061":1}}}`, "input.any.a", 23, "twice"},
		"Latin-1":                 {"{\"input\":{\"any\":\"caf\xe9\"}}", "input.any", 20, "UTF-8"},
		"UTF-16":                  {"\xff\xfe{\x00}\x00", "", 0, "UTF-16"},
		"UTF-16 without a mark":   {"{\x00}\x00", "", 1, "UTF-16"},
		"gzip without its header": {"\x1f\x8b\x08\x00\x00", "", 0, "Content-Encoding: gzip"},
		"half a surrogate":        {`{"input":{"any":"\ud800"}}`, "input.any", 17, "surrogate"},
		"number without bound":    {`{"input":{"any":[1,1e999]}}`, "input.any[1]", 19, "range"},
		"NUL in a string":         {`{"input":{"any":"\u0000"}}`, "input.any", 16, "U+0000"},
		"deeper than 64":          {`{"input":{"any":` + strings.Repeat(`[`, 63) + strings.Repeat(`]`, 63) + `}}`, "input.any" + strings.Repeat("[0]", 62), 78, "64"},
		"NaN":                     {`{"input":{"any":NaN}}`, "input.any", 16, "NaN"},
		"True":                    {`{"input":{"any":True}}`, "input.any", 16, "true"},
		"single quotes":           {`{"input":{'any':1}}`, "input", 10, "quote"},
		"comma at the end":        {`{"input":{"any":1,}}`, "input", 17, "comma"},
		"comment":                 {`{"input":{} /* none */}`, "", 12, "comment"},
		"leading zero":            {`{"input":{"any":01}}`, "input", 17, "0"},
		"raw tab":                 {"{\"input\":{\"any\":\"a\tb\"}}", "input.any", 18, "control character"},
		"after a byte order mark": {mark + `{"input":{"any":NaN}}`, "input.any", 19, "NaN"},
		"two byte order marks":    {mark + mark + `{"input":{}}`, "", 3, "byte order mark"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.post(t, test.body)
			var details struct {
				In      string `json:"in"`
				At      string `json:"at"`
				Message string `json:"message"`
				Offset  *int64 `json:"offset"`
			}
			if err := json.Unmarshal(a.ErrorDetails, &details); err != nil || a.status != 480 || a.ErrorCode != "InvalidInput" {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if details.In != "body" || details.At != test.at || details.Offset == nil || *details.Offset != test.offset || !strings.Contains(details.Message, test.message) {
				t.Errorf("got %s, want the place %q, byte %d, a message with %q", a.body, test.at, test.offset, test.message)
			}
		})
	}
	if a := s.post(t, mark+`{"input":{"any":1}}`); a.status != 200 || string(a.Input) != `{"any":1}` {
		t.Errorf("with a byte order mark: status %d: %s", a.status, a.body)
	}
}
