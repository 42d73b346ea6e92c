// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// Every row of the contract's table of POST that depends on the request.
func TestPostIsRefused(t *testing.T) {
	refused := func(code, details string) string {
		return `{"errorCode":"` + code + `","errorDetails":` + details + `}`
	}
	tests := map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"no input":                {"ocr", `{}`, 480, refused("MissingInput", `{"in":"body","at":"input"}`)},
		"no input, but another":   {"ocr", `{"output":{}}`, 480, refused("MissingInput", `{"in":"body","at":"input"}`)},
		"missing property":        {"ocr", `{"input":{}}`, 480, refused("MissingInput", `{"in":"body","at":"input.source"}`)},
		"missing property, alias": {"ocrReaders/", `{"input":{}}`, 480, refused("MissingInput", `{"in":"body","at":"input.source"}`)},
		"missing deep inside":     {"ocr", `{"input":{"source":"x","pages":[{"dpi":1},{}]}}`, 480, refused("MissingInput", `{"in":"body","at":"input.pages[1].dpi"}`)},
		"unknown beside input":    {"ocr", `{"a b":1,"input":{}}`, 480, refused("UnrecognizedInput", `{"in":"body","at":"[\"a b\"]"}`)},
		"unknown after input":     {"echo", `{"input":{},"webhook":1}`, 480, refused("UnrecognizedInput", `{"in":"body","at":"webhook"}`)},
		"input before unknown":    {"ocr", `{"input":{},"webhook":1}`, 480, refused("MissingInput", `{"in":"body","at":"input.source"}`)},
		"unknown in input":        {"ocr", `{"input":{"source":"x","langage":"eng"}}`, 480, refused("UnrecognizedInput", `{"in":"body","at":"input.langage"}`)},
		"wrong type":              {"ocr", `{"input":{"source":5}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.source","expected":{"type":"string"}}`)},
		"not in enum":             {"ocr", `{"input":{"source":"x","language":"tlh"}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.language","expected":{"enum":["eng"]}}`)},
		"out of range":            {"ocr", `{"input":{"source":"x","pages":[{"dpi":0}]}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.pages[0].dpi","expected":{"type":"integer","minimum":1}}`)},
		"rule":                    {"ocr", `{"input":{"source":"x","low":2,"high":1}}`, 480, refused("InvalidInput", `{"in":"body","at":"input","expected":{"rule":"!has(self.low) || self.low < self.high","message":"low must be below high"}}`)},
		"input is null":           {"echo", `{"input":null}`, 480, refused("InvalidInput", `{"in":"body","at":"input","expected":{"type":"object"}}`)},
		"input is an array":       {"echo", `{"input":[]}`, 480, refused("InvalidInput", `{"in":"body","at":"input","expected":{"type":"object"}}`)},
		"empty body":              {"ocr", ``, 480, refused("InvalidInput", `{"in":"body","message":"the body is empty","offset":0}`)},
		"malformed":               {"ocr", `{"input":{"source":}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.source","message":"input.source is not well-formed JSON","offset":19}`)},
		"cut off":                 {"ocr", `{"input":{"source":"x"}`, 480, refused("InvalidInput", `{"in":"body","message":"the body ends too early","offset":23}`)},
		"not an object":           {"ocr", `[{"input":{}}]`, 480, refused("InvalidInput", `{"in":"body","message":"the body must be a JSON object","offset":0}`)},
		"two objects":             {"ocr", `{"input":{}}{}`, 480, refused("InvalidInput", `{"in":"body","message":"the body has something after its end","offset":12}`)},
		"after a byte order mark": {"ocr", "\ufeff{\"input\":{\"source\":'x'}}", 480, refused("InvalidInput", `{"in":"body","at":"input.source","message":"input.source has a single quote, expected a double quote","offset":22}`)},
		"duplicate keys":          {"ocr", `{"input":{"source":"x","source":"x"}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.source","message":"input.source is there twice","offset":23}`)},
		"duplicate input":         {"echo", `{"input":{},"input":{}}`, 480, refused("InvalidInput", `{"in":"body","at":"input","message":"input is there twice","offset":12}`)},
		"invalid UTF-8":           {"echo", "{\"input\":{\"a\":\"\xff\"}}", 480, refused("InvalidInput", `{"in":"body","at":"input.a","message":"input.a has a byte that is not UTF-8","offset":15}`)},
		"infinite number":         {"echo", `{"input":{"a":1e999}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.a","message":"input.a is a number out of range","offset":14}`)},
		"NUL":                     {"echo", `{"input":{"a":"\u0000"}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.a","message":"input.a holds the character U+0000","offset":14}`)},
		"too deep":                {"echo", `{"input":` + strings.Repeat(`{"a":`, 63) + `{}` + strings.Repeat(`}`, 64), 480, refused("InvalidInput", `{"in":"body","at":"input`+strings.Repeat(".a", 63)+`","message":"input`+strings.Repeat(".a", 63)+` is nested deeper than 64","offset":324}`)},
		"unknown type":            {"ocrreaders", `{"input":{}}`, 480, refused("InvalidInput", `{"in":"path","at":"processType","expected":{"enum":["echo","ocr","ocrReaders"]}}`)},
		"input over its limit":    {"ocr", `{"input":{"source":"` + strings.Repeat("x", 245) + `"}}`, 413, refused("InputTooLarge", `{"in":"body","at":"input","expected":{"maxBytes":256}}`)},
		"body over its limit":     {"ocr", `{"input":{"source":"` + strings.Repeat("x", 1300) + `"}}`, 413, refused("InputTooLarge", `{"in":"body","expected":{"maxBytes":256}}`)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.want(f.post("/v1/processes/"+tc.path, tc.body), tc.status, tc.want)
			if got := f.live.Creates.Load(); got != 0 {
				t.Errorf("%d creates, want none", got)
			}
		})
	}
}

func TestPost(t *testing.T) {
	tests := map[string]struct{ path, typeName, body, input string }{
		"plain":           {"/v1/processes/echo", "echo", `{"input":{}}`, `{}`},
		"byte for byte":   {"/v1/processes/echo", "echo", "{ \"input\" :\n {\"z\":1.0, \"a\": 12345678901234567890,\t\"\\u00e9<&\":[ 1e5,-0 ]}\n}", "{\"z\":1.0, \"a\": 12345678901234567890,\t\"\\u00e9<&\":[ 1e5,-0 ]}"},
		"trailing slash":  {"/v1/processes/echo/", "echo", `{"input":{"a":null}}`, `{"a":null}`},
		"alias of a type": {"/v1/processes/ocrReaders/", "ocr", `{"input":{"source":"x"}}`, `{"source":"x"}`},
		"deprecated path": {"/v4/processes/echo/", "echo", `{"input":{}}`, `{}`},
		"doubled slashes": {"//v4//processes/echo//", "echo", `{"input":{}}`, `{}`},
		"byte order mark": {"/v1/processes/echo", "echo", "\ufeff{\"input\":{}}", `{}`},
		"at the limit":    {"/v1/processes/ocr", "ocr", `{"input":{"source":"` + strings.Repeat("x", 243) + `"}}`, `{"source":"` + strings.Repeat("x", 243) + `"}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			got := f.post(tc.path, tc.body)
			id := f.idOf(got)
			expiry, lifetime := "2026-05-06T07:09:09.000Z", int32(60)
			if tc.typeName == "ocr" {
				expiry, lifetime = "2026-05-06T07:28:09.000Z", 1200
			}
			f.want(got, 200, `{"processId":"`+id+`","state":"processing","expirationDateTime":"`+expiry+`","createdDateTime":"2026-05-06T07:08:09.000Z","input":`+tc.input+`}`)
			if want := "/v1/processes/" + tc.typeName + "/" + id; got.header.Get("Content-Location") != want {
				t.Errorf("Content-Location %q, want %q", got.header.Get("Content-Location"), want)
			}
			var p v1alpha1.Process
			if err := f.live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: id}, &p); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(v1alpha1.ProcessSpec{Type: tc.typeName, LifetimeSeconds: lifetime, Input: tc.input}, p.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if expiry, ok := f.ring.Verify(namespace, tc.typeName, id); !ok || !expiry.Equal(p.ExpirationTime()) {
				t.Errorf("the id expires at %v (%t), the process at %v", expiry, ok, p.ExpirationTime())
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	const refused = `{"errorCode":"UnsupportedMediaType"}`
	tests := map[string]struct {
		header map[string]string
		status int
	}{
		"charset":           {map[string]string{"Content-Type": "application/json; charset=utf-8"}, 200},
		"odd charset, case": {map[string]string{"Content-Type": `Application/JSON;charset="ISO-8859-1"`}, 200},
		"unknown parameter": {map[string]string{"Content-Type": "application/json; version=1; x"}, 200},
		"none":              {map[string]string{"Content-Type": ""}, 415},
		"form":              {map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		"text":              {map[string]string{"Content-Type": "text/plain; application/json"}, 415},
		"patch":             {map[string]string{"Content-Type": "application/merge-patch+json"}, 415},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			got := f.do("POST", "/v1/processes/echo", strings.NewReader(`{"input":{}}`), tc.header)
			if tc.status == 415 {
				f.want(got, 415, refused)
			}
			if got.status != tc.status || (got.header.Get("Accept-Post") == "application/json") != (tc.status == 415) {
				t.Errorf("status %d, Accept-Post %q", got.status, got.header.Get("Accept-Post"))
			}
		})
	}
}

// endless is a body without an end. It counts the bytes that were read.
type endless struct{ taken atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.taken.Add(int64(len(p)))
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestLimitHoldsForChunks(t *testing.T) {
	f := newFacade(t)
	body := &endless{}
	f.want(f.do("POST", "/v1/processes/ocr", io.LimitReader(body, 64<<20), nil), 413, `{"errorCode":"InputTooLarge","errorDetails":{"in":"body","expected":{"maxBytes":256}}}`)
	if taken := body.taken.Load(); taken > 16<<20 {
		t.Errorf("%d bytes were read", taken)
	}
}

func TestCreateFails(t *testing.T) {
	processes := schema.GroupResource{Group: "procman.dev", Resource: "processes"}
	const busy = `{"errorCode":"TooManyRequests"}`
	quota := fmt.Errorf("exceeded quota: procman, requested: count/processes=1, used: 5, limited: 5")
	tests := map[string]struct {
		err        error
		status     int
		body       string
		retryAfter string
		calls      int32
	}{
		"quota":                  {apierrors.NewForbidden(processes, "x", quota), 429, busy, "1", 1},
		"overload":               {apierrors.NewTooManyRequests("slow down", 3), 429, busy, "3", 1},
		"a policy on quotas":     {apierrors.NewForbidden(processes, "x", errors.New("ask for more of your exceeded quota")), 580, failed, "", 1},
		"forbidden":              {apierrors.NewForbidden(processes, "x", errors.New("RBAC")), 580, failed, "", 1},
		"namespace is gone":      {apierrors.NewNotFound(processes, "x"), 580, failed, "", 1},
		"no answer, ever":        {context.DeadlineExceeded, 580, failed, "", 3},
		"unavailable throughout": {apierrors.NewServiceUnavailable("starting"), 580, failed, "", 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.live.OnCreate = func(int32, func() error) error { return tc.err }
			got := f.post("/v1/processes/echo", `{"input":{}}`)
			f.want(got, tc.status, tc.body)
			if got.header.Get("Retry-After") != tc.retryAfter || f.live.Creates.Load() != tc.calls {
				t.Errorf("Retry-After %q after %d calls, want %q after %d", got.header.Get("Retry-After"), f.live.Creates.Load(), tc.retryAfter, tc.calls)
			}
			if log := strings.ReplaceAll(f.log.String(), `\"`, `"`); !strings.Contains(log, tc.err.Error()) {
				t.Errorf("the log does not have the cause:\n%s", f.log.String())
			}
		})
	}
}

// A type whose maxProcessing is reached accepts no more processes, until one of them has
// finished or is deleted. A repeated POST still gets its process.
func TestMaxProcessing(t *testing.T) {
	f := newFacade(t)
	f.register("echo", 1, func(pt *v1alpha1.ProcessType) {
		pt.Generation, pt.Spec.LifetimeSeconds, pt.Spec.MaxProcessing = 2, 60, 2
	})
	const busy = `{"errorCode":"TooManyRequests"}`
	full := func() {
		t.Helper()
		creates := f.live.Creates.Load()
		got := f.post("/v1/processes/echo", `{"input":{}}`)
		f.want(got, 429, busy)
		if got.header.Get("Retry-After") != "1" || f.live.Creates.Load() != creates {
			t.Errorf("Retry-After %q after %d calls", got.header.Get("Retry-After"), f.live.Creates.Load()-creates)
		}
	}
	room := func() {
		t.Helper()
		if got := f.post("/v1/processes/echo", `{"input":{}}`); got.status != 200 {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}
	f.known("done", finished)
	f.known("one", unchanged)
	f.known("one", func(p *v1alpha1.Process) { p.Status.PercentComplete = new(int32(1)) })
	f.known("other", func(p *v1alpha1.Process) { p.Spec.Type = "ocr" })
	original := f.postKeyed(`{"input":{}}`)
	f.want(original, 200, original.body)
	f.known(f.idOf(original), unchanged)
	full()
	f.want(f.postKeyed(`{"input":{}}`), 200, original.body)
	f.known("one", finished)
	room()
	f.known("two", unchanged)
	full()
	f.cache.Delete(echoProcess("two", unchanged))
	f.cache.Delete(echoProcess("done", finished))
	room()
}

// A POST that is refused by maxProcessing leaves its key unused.
func TestMaxProcessingLeavesTheKey(t *testing.T) {
	f := newFacade(t)
	f.register("echo", 1, func(pt *v1alpha1.ProcessType) {
		pt.Generation, pt.Spec.LifetimeSeconds, pt.Spec.MaxProcessing = 2, 60, 1
	})
	f.known("one", unchanged)
	f.want(f.postKeyed(`{"input":{}}`), 429, `{"errorCode":"TooManyRequests"}`)
	f.known("one", finished)
	if got := f.postKeyed(`{"input":{"another":1}}`); got.status != 200 {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// The API server created the Process but its answer was lost: the client gets its 200, and
// there is one Process.
func TestLostAnswerOfACreate(t *testing.T) {
	late := apierrors.NewTimeoutError("late", 0)
	for name, test := range map[string]struct{ first, then error }{
		"connection":                 {first: io.ErrUnexpectedEOF},
		"timeout":                    {first: late},
		"late twice":                 {first: late, then: late},
		"it filled the quota itself": {first: late, then: apierrors.NewForbidden(schema.GroupResource{Resource: "processes"}, "p", errors.New("exceeded quota: q"))},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.live.OnCreate = func(call int32, create func() error) error {
				switch {
				case call == 1:
					if err := create(); err != nil {
						return err
					}
					return test.first
				case test.then != nil:
					return test.then
				}
				return create()
			}
			got := f.post("/v1/processes/echo", `{"input":{"a":1}}`)
			f.want(got, 200, `{"processId":"`+f.idOf(got)+`","state":"processing",`+expires+`,"input":{"a":1}}`)
			var all v1alpha1.ProcessList
			if err := f.live.List(t.Context(), &all); err != nil || len(all.Items) != 1 {
				t.Errorf("%d processes, %v, want 1", len(all.Items), err)
			}
		})
	}
}

// A client that has closed its side of the connection gets its answer: net/http treats it
// as disconnected, but the create is completed.
func TestPostOfWhoHasClosedItsSide(t *testing.T) {
	f := newFacade(t)
	f.live.OnCreate = func(call int32, create func() error) error {
		if call == 1 {
			return errors.New("the connection broke")
		}
		return create()
	}
	ctx, left := context.WithCancel(t.Context())
	left()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/processes/echo", strings.NewReader(`{"input":{}}`))
	r.Header.Set("Content-Type", "application/json")
	w := recorded(t, f.server, r)
	if w.Code != http.StatusOK || f.live.Creates.Load() != 2 {
		t.Errorf("status %d after %d creates: %s", w.Code, f.live.Creates.Load(), w.Body)
	}
}
