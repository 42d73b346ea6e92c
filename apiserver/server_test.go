// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRouter(t *testing.T) {
	const nothing = `{"errorCode":"ResourceNotFound"}`
	const wrong = `{"errorCode":"MethodNotAllowed"}`
	tests := map[string]struct {
		method, path string
		status       int
		body, allow  string
	}{
		"POST the root":        {"POST", "/", 405, wrong, "GET, HEAD"},
		"unknown path":         {"GET", "/v2/processes/ocr", 404, nothing, ""},
		"no type":              {"POST", "/v1/processes", 404, nothing, ""},
		"no type, slash":       {"POST", "/v1/processes/", 404, nothing, ""},
		"too long":             {"GET", "/v1/processes/ocr/a/b", 404, nothing, ""},
		"slashes only":         {"DELETE", "///", 405, wrong, "GET, HEAD"},
		"doubled, too long":    {"GET", "/v1//processes/ocr//a//b", 404, nothing, ""},
		"no type, two slashes": {"POST", "/v1/processes//", 404, nothing, ""},
		"escaped slashes":      {"GET", "/v1%2F%2Fprocesses/ocr", 404, nothing, ""},
		"dots":                 {"GET", "/v1/processes/../processes/ocr", 404, nothing, ""},
		"escaped slash":        {"GET", "/v1/processes/ocr/a%2Fb", 404, nothing, ""},
		"escaped dots":         {"GET", "/v1/processes/%2e%2e/a", 404, nothing, ""},
		"old name, new route":  {"GET", "/v4/processTypes", 404, nothing, ""},
		"PUT a type, slash":    {"PUT", "/v1/processes/ocr/", 405, wrong, "GET, HEAD, POST"},
		"POST a process":       {"POST", "/v1/processes/ocr/a", 405, wrong, "DELETE, GET, HEAD"},
		"OPTIONS of a process": {"OPTIONS", "/v4/processes/ocr/a/", 405, wrong, "DELETE, GET, HEAD"},
		"made-up method":       {"BREW", "/v1/processes/ocr", 405, wrong, "GET, HEAD, POST"},
		"POST the types":       {"POST", "/v1/processTypes/", 405, wrong, "GET, HEAD"},
		"POST the docs":        {"POST", "/docs", 405, wrong, "GET, HEAD"},
		"no such asset":        {"GET", "/docs/index.html", 404, nothing, ""},
	}
	f := newFacade(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := f.do(tc.method, tc.path, nil, nil)
			f.want(got, tc.status, tc.body)
			if got.header.Get("Allow") != tc.allow || got.header.Get("Location") != "" {
				t.Errorf("Allow %q, Location %q, want %q and none", got.header.Get("Allow"), got.header.Get("Location"), tc.allow)
			}
		})
	}
}

// The page and its files are always sent as a whole, also for ranges and conditions. Only
// If-None-Match counts.
func TestDocs(t *testing.T) {
	f := newFacade(t)
	for _, path := range []string{"/docs", "/docs/", "/docs/viewer.js", "/docs/viewer.js/", "/docs/swagger-ui.css", "/docs/favicon-32x32.png"} {
		ask := func(method, name, value string) *httptest.ResponseRecorder {
			req := httptest.NewRequest(method, path, nil)
			req.Header.Set(name, value)
			return recorded(t, f.server, req)
		}
		if got := ask("POST", "Accept", "*/*"); got.Code != 405 || got.Header().Get("Allow") != "GET, HEAD" || got.Body.String() != `{"errorCode":"MethodNotAllowed"}` {
			t.Errorf("POST %s: status %d, Allow %q: %s", path, got.Code, got.Header().Get("Allow"), got.Body)
		}
		whole := ask("GET", "Accept", "*/*")
		if whole.Code != 200 || whole.Body.Len() == 0 {
			t.Errorf("%s: status %d with %d bytes", path, whole.Code, whole.Body.Len())
		}
		for _, header := range [][2]string{{"Range", "bytes=99999999-"}, {"Range", "bytes=0-3"}, {"Range", "bytes=x"}, {"If-Match", `"other"`}} {
			if got := ask("GET", header[0], header[1]); got.Code != 200 || got.Body.String() != whole.Body.String() {
				t.Errorf("%s with %s: status %d with %d bytes", path, header, got.Code, got.Body.Len())
			}
		}
		for _, tc := range []struct {
			method, value string
			status        int
		}{{"GET", `"other"`, 200}, {"GET", whole.Header().Get("ETag"), 304}, {"HEAD", `"other"`, 200}, {"HEAD", "*", 304}} {
			got := ask(tc.method, "If-None-Match", tc.value)
			if got.Code != tc.status || (got.Body.Len() > 0) != (tc.status == 200 && tc.method == "GET") {
				t.Errorf("%s %s if not %s: status %d with %d bytes, want %d", tc.method, path, tc.value, got.Code, got.Body.Len(), tc.status)
			}
		}
	}
}

func TestDeprecatedAlias(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	for path, status := range map[string]int{
		"/processes/echo/mine": 200, "/processes/echo/mine/": 200, "/processes/echo/none": 404, "/processes/echo/a/b": 404, "/nothing%20here": 404,
	} {
		old, current := f.get("/v4"+path), f.get("/v1"+path)
		f.want(old, status, current.body)
		want := map[string]string{
			"Deprecation": "@1767225600", "Link": "</v1" + path + `>; rel="successor-version"`, "Sunset": "Tue, 01 Jan 2030 00:00:00 GMT",
		}
		for name, value := range want {
			if got := old.header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
			if got := current.header.Get(name); got != "" {
				t.Errorf("%s: %s is %q on /v1", path, name, got)
			}
		}
	}
	for path, is := range map[string]bool{
		"/%764/processes/echo/mine": true, "/%76%34/processes/echo/mine": true, "/v4%2Fprocesses/echo/mine": false, "/v4": false, "/v40/processes/echo": false,
	} {
		res := recorded(t, f.server, httptest.NewRequest("GET", path, nil))
		if got := res.Header(); (got.Get("Deprecation") != "") != is || is && got.Get("Link") != `</v1/processes/echo/mine>; rel="successor-version"` {
			t.Errorf("%s: Deprecation is %q, Link %q", path, got.Get("Deprecation"), got.Get("Link"))
		}
	}
	f.want(f.post("/v4/processes/nope", `{}`), 480, f.post("/v1/processes/nope", `{}`).body)
}

func TestRequestID(t *testing.T) {
	f := newFacade(t)
	for sent, kept := range map[string]bool{
		"abc-123": true, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": true,
		"": false, "a b": false, `a"b`: false, "é": false, strings.Repeat("x", 129): false, "-x": false,
	} {
		got := f.do("GET", "/v1/processes/echo/none", nil, map[string]string{"X-Request-Id": sent}).header.Get("X-Request-Id")
		if (got == sent) != kept || got == "" {
			t.Errorf("X-Request-Id %q comes back as %q", sent, got)
		}
	}
}

func TestEveryRequestIsLoggedAndCountedWithoutPayload(t *testing.T) {
	f := newFacade(t)
	f.do("POST", "/v4/processes/echo", strings.NewReader(`{"input":{"a":"secret"}}`), map[string]string{"X-Request-Id": "r1"})
	f.do("GET", "/secret", nil, map[string]string{"X-Request-Id": "r2"})
	log := f.log.String()
	for _, want := range []string{
		`"requestID":"r1","method":"POST","route":"/v4/processes/{type}","alias":true,"status":200,"errorCode":"","seconds":0`,
		`"requestID":"r2","method":"GET","route":"","alias":false,"status":404,"errorCode":"ResourceNotFound","seconds":0`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not have %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, "secret") {
		t.Errorf("the log has the payload or the path:\n%s", log)
	}
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			line := family.GetName()
			for _, label := range m.GetLabel() {
				line += " " + label.GetValue()
			}
			got = append(got, line)
		}
	}
	want := []string{
		"procman_http_deprecated_requests_total POST /v4/processes/{type}",
		"procman_http_request_duration_seconds GET none",
		"procman_http_request_duration_seconds POST /v4/processes/{type}",
		"procman_http_requests_total GET none 404",
		"procman_http_requests_total POST /v4/processes/{type} 200",
		"procman_http_waiting_requests",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	f := newFacade(t)
	f.live.OnGet = func() error { panic("a bug about secret things") }
	id := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
	f.want(f.get("/v1/processes/echo/"+id), 580, `{"errorCode":"InternalError"}`)
	if !strings.Contains(f.log.String(), "a bug about") {
		t.Errorf("the log does not have the cause:\n%s", f.log.String())
	}
}
