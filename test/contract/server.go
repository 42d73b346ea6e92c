// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"net/http"
	"strings"
	"testing"
)

// testRouter: unknown paths and wrong methods.
func (s *suite) testRouter(t *testing.T) {
	for _, p := range []string{"/", "/v1", "/v2/processes/contract", "/v1/processes", "/v1/processes/", "/v1/processes/contract/a/b", "/v1//processes/contract", "/v1/processes/../processes/contract", "/docs/none"} {
		want(t, s.get(t, p), 404, notFound)
	}
	for _, test := range []struct{ method, path, allow string }{
		{"PUT", "/v1/processes/contract", "GET, HEAD, POST"},
		{"DELETE", "/v1/processes/contract/", "GET, HEAD, POST"},
		{"POST", path("a"), "DELETE, GET, HEAD"},
		{"PATCH", path("a") + "/", "DELETE, GET, HEAD"},
		{"OPTIONS", path("a"), "DELETE, GET, HEAD"},
		{"BREW", "/v1/processTypes", "GET, HEAD"},
		{"POST", "/openapi.json", "GET, HEAD"},
	} {
		a := s.do(t, test.method, test.path, nil, nil)
		want(t, a, 405, `{"errorCode":"MethodNotAllowed"}`)
		if got := a.header.Get("Allow"); got != test.allow {
			t.Errorf("%s %s: Allow %q, want %q", test.method, test.path, got, test.allow)
		}
	}
}

// testDeprecated: /v4 is /v1 with deprecation headers on every response.
func (s *suite) testDeprecated(t *testing.T) {
	noted := func(a answer, p string) {
		t.Helper()
		if !strings.HasPrefix(a.header.Get("Deprecation"), "@") || a.header.Get("Link") != "</v1"+p+`>; rel="successor-version"` {
			t.Errorf("/v4%s: status %d, Deprecation %q, Link %q", p, a.status, a.header.Get("Deprecation"), a.header.Get("Link"))
		}
	}
	const p = "/processes/" + typeName + "/"
	a := s.do(t, http.MethodPost, "/v4"+p, strings.NewReader(`{"input":{}}`), nil)
	noted(a, p)
	if a.status != 200 || a.State != "processing" {
		t.Fatalf("POST: status %d: %s", a.status, a.body)
	}
	done := s.finish(t, a.ProcessID)
	got := s.get(t, "/v4"+p+a.ProcessID)
	noted(got, p+a.ProcessID)
	want(t, got, 200, string(done.body))
	refused := s.do(t, http.MethodPost, "/v4"+p, strings.NewReader(`{}`), nil)
	noted(refused, p)
	want(t, refused, 480, `{"errorCode":"MissingInput","errorDetails":{"in":"body","at":"input"}}`)
	for _, path := range []string{p + "none", "/none"} {
		missing := s.get(t, "/v4"+path)
		noted(missing, path)
		want(t, missing, 404, notFound)
	}
	noted(s.do(t, http.MethodPut, "/v4"+p, nil, nil), p)
	noted(s.do(t, http.MethodDelete, "/v4"+p+a.ProcessID, nil, nil), p+a.ProcessID)
	if h := done.header; h.Get("Deprecation") != "" || h.Get("Link") != "" || h.Get("Sunset") != "" {
		t.Errorf("/v1 has deprecation headers: %v", h)
	}
}

// testRequestID: a valid request id of the client is returned.
func (s *suite) testRequestID(t *testing.T) {
	minted := map[string]bool{}
	for id, kept := range map[string]bool{"abc-1.2": true, "": false, "with blank": false, strings.Repeat("x", 129): false} {
		got := s.do(t, http.MethodGet, path("none"), nil, header{{"X-Request-Id", id}}).header.Get("X-Request-Id")
		if (got == id) != kept || got == "" || minted[got] {
			t.Errorf("X-Request-Id %q comes back as %q", id, got)
		}
		minted[got] = true
	}
}
