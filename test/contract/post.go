// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// testPost: the response to an accepted process.
func (s *suite) testPost(t *testing.T) {
	for name, input := range map[string]string{
		"plain":                   `{"any":1}`,
		"empty":                   `{}`,
		"keys keep their order":   `{"order":{"number":1,"kind":"retail"},"any":{"z":1,"a":2}}`,
		"numbers keep their form": `{"any":[1.0,12345678901234567890,1e5,-0,0.10]}`,
		"white space is kept":     "{ \"any\" :\n\t[ 1 , 2 ] }",
		"all kinds of characters": `{"any":"ä€𝄞 \u00e9 \"q\" \\ \/ <&>"}`,
		"nested, as deep as may":  `{"any":` + strings.Repeat(`{"a":`, 60) + `1` + strings.Repeat(`}`, 60) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			a := s.create(t, input)
			wantBody := fmt.Sprintf(`{"processId":"%s","state":"processing","expirationDateTime":"%s","createdDateTime":"%s","input":%s}`, a.ProcessID, a.ExpirationDateTime, a.CreatedDateTime, input)
			want(t, a, http.StatusOK, wantBody)
			if !idPattern.MatchString(a.ProcessID) || !timePattern.MatchString(a.ExpirationDateTime) {
				t.Errorf("processId %q, expirationDateTime %q", a.ProcessID, a.ExpirationDateTime)
			}
			expires, err := time.Parse(time.RFC3339, a.ExpirationDateTime)
			if left := expires.Sub(before); err != nil || left < 590*time.Second || left > 615*time.Second {
				t.Errorf("it expires in %s, want about 600 s (%v)", left, err)
			}
			if got := a.header.Get("Content-Location"); got != path(a.ProcessID) {
				t.Errorf("Content-Location %q, want %q", got, path(a.ProcessID))
			}
			if got := s.get(t, path(a.ProcessID)); string(got.Input) != input || got.ExpirationDateTime != a.ExpirationDateTime {
				t.Errorf("GET says input %s and expirationDateTime %s", got.Input, got.ExpirationDateTime)
			}
		})
	}
}

// testRefusals: the status, the code and the place for each mistake in a body.
func (s *suite) testRefusals(t *testing.T) {
	refused := func(code, details string) string {
		return `{"errorCode":"` + code + `","errorDetails":` + details + `}`
	}
	for name, test := range map[string]struct{ body, want string }{
		"no input":                 {`{}`, refused("MissingInput", `{"in":"body","at":"input"}`)},
		"required absent":          {`{"input":{"order":{}}}`, refused("MissingInput", `{"in":"body","at":"input.order.number"}`)},
		"required absent in array": {`{"input":{"order":{"number":1,"lines":[{"sku":"a"},{"count":1}]}}}`, refused("MissingInput", `{"in":"body","at":"input.order.lines[1].sku"}`)},
		"unknown beside input":     {`{"input":{},"inputs":{}}`, refused("UnrecognizedInput", `{"in":"body","at":"inputs"}`)},
		"unknown in input":         {`{"input":{"oder":{}}}`, refused("UnrecognizedInput", `{"in":"body","at":"input.oder"}`)},
		"unknown in array":         {`{"input":{"order":{"number":1,"lines":[{"sku":"a","odd key":1}]}}}`, refused("UnrecognizedInput", `{"in":"body","at":"input.order.lines[0][\"odd key\"]"}`)},
		"type":                     {`{"input":{"order":{"number":"1"}}}`, refused("InvalidInput", `{"in":"body","at":"input.order.number","expected":{"type":"integer","minimum":1}}`)},
		"enum":                     {`{"input":{"order":{"number":1,"kind":"odd"}}}`, refused("InvalidInput", `{"in":"body","at":"input.order.kind","expected":{"enum":["retail","wholesale"]}}`)},
		"range":                    {`{"input":{"order":{"number":1,"lines":[{"sku":"a","count":100}]}}}`, refused("InvalidInput", `{"in":"body","at":"input.order.lines[0].count","expected":{"type":"integer","minimum":1,"maximum":99}}`)},
		"length":                   {`{"input":{"order":{"number":1,"lines":[{"sku":""}]}}}`, refused("InvalidInput", `{"in":"body","at":"input.order.lines[0].sku","expected":{"type":"string","minLength":1}}`)},
		"items":                    {`{"input":{"order":{"number":1,"lines":[{"sku":"a"},{"sku":"b"},{"sku":"c"}]}}}`, refused("InvalidInput", `{"in":"body","at":"input.order.lines","expected":{"type":"array","maxItems":2}}`)},
		"pattern":                  {`{"input":{"order":{"number":1,"code":"abc"}}}`, refused("InvalidInput", `{"in":"body","at":"input.order.code","expected":{"type":"string","pattern":"^[A-Z]{3}$","maxLength":3}}`)},
		"CEL rule":                 {`{"input":{"order":{"number":1,"low":2,"high":1}}}`, refused("InvalidInput", `{"in":"body","at":"input.order","expected":{"rule":"!has(self.low) || !has(self.high) || self.low < self.high","message":"low must be below high"}}`)},
		"input null":               {`{"input":null}`, refused("InvalidInput", `{"in":"body","at":"input","expected":{"type":"object"}}`)},
		"input an array":           {`{"input":[]}`, refused("InvalidInput", `{"in":"body","at":"input","expected":{"type":"object"}}`)},
		"first in document order":  {`{"input":{"order":{"number":0,"kind":"odd"},"oder":1}}`, refused("InvalidInput", `{"in":"body","at":"input.order.number","expected":{"type":"integer","minimum":1}}`)},
		"missing before others":    {`{"input":{"order":{"kind":"odd"}}}`, refused("MissingInput", `{"in":"body","at":"input.order.number"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, s.post(t, test.body), 480, test.want)
		})
	}
	t.Run("unknown type", func(t *testing.T) {
		a := s.do(t, http.MethodPost, "/v1/processes/no-such-type", strings.NewReader(`{"input":{}}`), nil)
		if a.status != 480 || a.ErrorCode != "InvalidInput" || !strings.HasPrefix(string(a.ErrorDetails), `{"in":"path","at":"processType","expected":{"enum":["`) {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		for _, name := range []string{typeName, aliasName, briefName} {
			if !strings.Contains(string(a.ErrorDetails), `"`+name+`"`) {
				t.Errorf("the expected types do not have %s: %s", name, a.ErrorDetails)
			}
		}
	})
	t.Run("the names of types are case-sensitive", func(t *testing.T) {
		if a := s.do(t, http.MethodPost, "/v1/processes/ContractSuite", strings.NewReader(`{"input":{}}`), nil); a.status != 480 {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
}

// testMediaType: only JSON is accepted, with any charset.
func (s *suite) testMediaType(t *testing.T) {
	for mediaType, status := range map[string]int{
		"application/json":                        200,
		"application/json; charset=utf-8":         200,
		"application/json;charset=\"ISO-8859-1\"": 200,
		"Application/JSON":                        200,
		"":                                        415,
		"text/plain":                              415,
		"application/x-www-form-urlencoded":       415,
		"application/merge-patch+json":            415,
	} {
		a := s.post(t, `{"input":{}}`, [2]string{"Content-Type", mediaType})
		if a.status != status || status == 415 && (string(a.body) != `{"errorCode":"UnsupportedMediaType"}` || a.header.Get("Accept-Post") != "application/json") {
			t.Errorf("Content-Type %q: status %d, want %d: %s", mediaType, a.status, status, a.body)
		}
	}
}

// testTooLarge: the limit of the type is exact to the byte, also for chunks.
func (s *suite) testTooLarge(t *testing.T) {
	input := func(size int) string { return `{"any":"` + strings.Repeat("x", size-10) + `"}` }
	if a := s.post(t, `{"input":`+input(4096)+`}`); a.status != 200 {
		t.Errorf("an input of the limit: status %d: %.200s", a.status, a.body)
	}
	want(t, s.post(t, `{"input":`+input(4097)+`}`), 413, `{"errorCode":"InputTooLarge","errorDetails":{"in":"body","at":"input","expected":{"maxBytes":4096}}}`)
	const body = `{"errorCode":"InputTooLarge","errorDetails":{"in":"body","expected":{"maxBytes":4096}}}`
	want(t, s.post(t, `{"input":`+input(100_000)+`}`), 413, body)
	chunked := io.LimitReader(strings.NewReader(`{"input":`+input(100_000)+`}`), 1<<30)
	want(t, s.do(t, http.MethodPost, "/v1/processes/"+typeName, chunked, nil), 413, body)
}

// testTooMany: when maxProcessing of a type is reached, every replica returns 429 to a POST,
// until a process is deleted.
func (s *suite) testTooMany(t *testing.T) {
	const single = "/v1/processes/" + singleName
	var made []string
	post := func(base string, headers ...[2]string) answer {
		a := s.send(t, s.request(t, base, http.MethodPost, single, strings.NewReader(`{"input":{"echo":{"seconds":120}}}`), headers))
		if a.status == http.StatusOK {
			made = append(made, a.ProcessID)
		}
		return a
	}
	key := [2]string{"Idempotency-Key", uniqueKey(t)}
	first := post(s.URL, key)
	if first.status != http.StatusOK {
		t.Fatalf("status %d: %s", first.status, first.body)
	}
	for _, replica := range s.Replicas {
		eventually(t, "the replica counts it", func() bool {
			return s.send(t, s.request(t, replica, http.MethodGet, single+"/"+first.ProcessID, nil, nil)).status == http.StatusOK
		})
		var refused answer
		eventually(t, "the type has what it may have", func() bool {
			refused = post(replica)
			return refused.status != http.StatusOK
		})
		want(t, refused, 429, `{"errorCode":"TooManyRequests"}`)
		if refused.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", refused.header.Get("Retry-After"))
		}
		want(t, post(replica, key), 200, string(first.body))
	}
	for _, id := range made {
		if a := s.do(t, http.MethodDelete, single+"/"+id, nil, nil); a.status != http.StatusNoContent && a.status != http.StatusNotFound {
			t.Errorf("DELETE: status %d", a.status)
		}
	}
	var again answer
	eventually(t, "there is room again", func() bool {
		again = post(s.URL)
		return again.status == http.StatusOK
	})
	want(t, s.do(t, http.MethodDelete, single+"/"+again.ProcessID, nil, nil), 204, "")
}
