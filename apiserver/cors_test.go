// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A page of an allowed origin can do everything; a page of another origin nothing. No
// origin is allowed by default.
func TestOrigins(t *testing.T) {
	const page = "https://page.example"
	ask := func(s *Server, method, path, origin string, header map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Origin", origin)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	preflight := func(s *Server, origin, method, headers string) *httptest.ResponseRecorder {
		return ask(s, http.MethodOptions, "/v1/processes/echo", origin, map[string]string{"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers})
	}
	const headers = "content-encoding,content-type,idempotency-key,if-none-match,last-event-id,prefer,process-labels,x-request-id"
	s := newAlone(t, prometheus.NewRegistry(), page, "http://localhost:8000")
	for _, origin := range []string{page, "http://localhost:8000"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			w := preflight(s, origin, method, headers)
			if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != origin || w.Header().Get("Access-Control-Max-Age") != "600" || w.Body.Len() != 0 {
				t.Errorf("the preflight of %s from %s: status %d, %v", method, origin, w.Code, w.Header())
			}
		}
		for path, status := range map[string]int{"/v1/processes/echo/mine": 200, "/v1/processes/echo/none": 404, "/v1//processTypes": 200, "/none": 404, "/v4/processes/echo/mine": 200} {
			w := ask(s, http.MethodGet, path, origin, nil)
			exposed := strings.ToLower(w.Header().Get("Access-Control-Expose-Headers"))
			if w.Code != status || w.Header().Get("Access-Control-Allow-Origin") != origin || !strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Origin") {
				t.Errorf("%s from %s: status %d, %v", path, origin, w.Code, w.Header())
			}
			for _, name := range []string{"etag", "retry-after", "preference-applied", "content-location", "x-request-id"} {
				if !strings.Contains(exposed, name) {
					t.Errorf("%s from %s: a page cannot read %s: %s", path, origin, name, exposed)
				}
			}
		}
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"another origin":   ask(s, http.MethodGet, "/v1/processes/echo/mine", "https://other.example", nil),
		"its preflight":    preflight(s, "https://other.example", "POST", "content-type"),
		"another header":   preflight(s, page, "POST", "x-other"),
		"another method":   preflight(s, page, "PATCH", ""),
		"none are allowed": ask(newAlone(t, prometheus.NewRegistry()), http.MethodGet, "/v1/processes/echo/mine", page, nil),
	} {
		if got := w.Header().Get("Access-Control-Allow-Headers") + w.Header().Get("Access-Control-Allow-Methods"); got != "" || strings.HasPrefix(name, "another origin") && w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: status %d, %v", name, w.Code, w.Header())
		}
	}
	if w := preflight(newAlone(t, prometheus.NewRegistry()), page, "POST", "content-type"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a preflight without the flag: status %d", w.Code)
	}
	if w := ask(newAlone(t, prometheus.NewRegistry(), "*"), http.MethodGet, "/v1/processes/echo/mine", page, nil); w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("with all origins: %v", w.Header())
	}
	if w := ask(s, http.MethodOptions, "/v1/processes/echo", page, nil); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("OPTIONS that is not a preflight: status %d", w.Code)
	}
	for _, wrong := range []string{"example.com", "https://example.com/", "https://example.com/page", "null", ""} {
		if err := CheckOrigins([]string{wrong}); err == nil {
			t.Errorf("%q is accepted as an origin", wrong)
		}
	}
}
