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
	for _, p := range []string{"/v1", "/v2/processes/contract", "/v1/processes", "/v1/processes/", "/v1/processes/contract/a/b", "/v1//processes//", "/v1/processes/../processes/contract", "/docs/none"} {
		want(t, s.get(t, p), 404, notFound)
	}
	// Several slashes are one.
	types := s.get(t, "/v1/processTypes")
	for _, p := range []string{"//v1/processTypes", "/v1//processTypes", "/v1/processTypes//", "///v1///processTypes///"} {
		want(t, s.get(t, p), 200, string(types.body))
	}
	if a := s.get(t, "/v1/processes//"+typeName+"//?limit=1"); a.status != 200 {
		t.Errorf("a list with doubled slashes: status %d: %s", a.status, a.body)
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

// testRoot: / leads a browser to the page, and is 200 for anything else. The probes are
// served here, too.
func (s *suite) testRoot(t *testing.T) {
	for accept, status := range map[string]int{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": 302, "*/*": 200, "": 200, "application/json": 200, "application/json, text/html;q=0.5": 200,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := s.do(t, method, "/", nil, header{{"Accept", accept}})
			if a.status != status || (a.header.Get("Location") == "/docs") != (status == 302) {
				t.Errorf("%s, Accept %q: status %d, Location %q", method, accept, a.status, a.header.Get("Location"))
			}
		}
	}
	for _, p := range []string{"/livez", "/readyz"} {
		want(t, s.get(t, p), 200, `{"status":"ok"}`)
	}
}

// testQueries: every route refuses query parameters that it does not know.
func (s *suite) testQueries(t *testing.T) {
	id := s.create(t, `{}`).ProcessID
	for _, test := range [][2]string{
		{"GET", "/"}, {"GET", "/livez"}, {"GET", "/docs"}, {"GET", "/openapi.json"}, {"GET", "/v1/processTypes"}, {"GET", "/v1/processes/" + typeName},
		{"GET", path(id)}, {"GET", "/v4/processes/" + typeName + "/" + id}, {"DELETE", path(id)}, {"POST", "/v1/processes/" + typeName},
	} {
		want(t, s.do(t, test[0], test[1]+"?pretty=1", nil, nil), 480, `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"query","at":"pretty"}}`)
	}
	want(t, s.get(t, path(id)+"?state=complete"), 480, `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"query","at":"state"}}`)
	want(t, s.get(t, "/none?pretty=1"), 404, notFound)
}

// testCORS: a preflight request is 405, or answered with everything that a page needs if
// the service allows the origin.
func (s *suite) testCORS(t *testing.T) {
	const origin = "https://example.com"
	preflight, err := client.Do(s.request(t, s.URL, http.MethodOptions, "/v1/processes/"+typeName, nil, header{
		{"Origin", origin}, {"Access-Control-Request-Method", "POST"}, {"Access-Control-Request-Headers", "content-type,prefer"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	_ = preflight.Body.Close()
	got := s.do(t, http.MethodGet, "/v1/processTypes", nil, header{{"Origin", origin}})
	allowed := got.header.Get("Access-Control-Allow-Origin")
	if got := preflight.Header.Get("Access-Control-Allow-Origin"); got != allowed || allowed == "" && preflight.StatusCode == http.StatusOK {
		t.Errorf("the preflight is %d and allows %q, the GET allows %q", preflight.StatusCode, got, allowed)
	}
	if exposed := got.header.Get("Access-Control-Expose-Headers"); allowed != "" && !strings.Contains(strings.ToLower(exposed), "etag") {
		t.Errorf("a page can read the headers %q", exposed)
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
