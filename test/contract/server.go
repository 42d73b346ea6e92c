package contract

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
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

// testDeprecated: /v4 is /v1 with a note on every answer.
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
		t.Errorf("/v1 says that it is deprecated: %v", h)
	}
}

// testRequestID: a client's name for its request comes back, if it is one.
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

// testNoHTTP: what is no sound request is answered in JSON all the same.
func (s *suite) testNoHTTP(t *testing.T) {
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if base.Scheme != "http" {
		t.Skip("the target is behind TLS: what answers to no HTTP is not the facade")
	}
	long := strings.Repeat("x", 80<<10)
	for name, test := range map[string]struct {
		sent   string
		status int
		body   string
	}{
		"no HTTP":                {"hello\r\n\r\n", 400, `{"errorCode":"BadRequest"}`},
		"no host":                {"GET / HTTP/1.1\r\n\r\n", 400, `{"errorCode":"BadRequest"}`},
		"bad header":             {"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, `{"errorCode":"BadRequest"}`},
		"unknown version":        {"GET / HTTP/7.0\r\nHost: a\r\n\r\n", 505, `{"errorCode":"BadRequest"}`},
		"unknown coding":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n", 501, `{"errorCode":"BadRequest"}`},
		"unknown expectation":    {"GET / HTTP/1.1\r\nHost: a\r\nExpect: much\r\n\r\n", 417, `{"errorCode":"BadRequest"}`},
		"headers over the limit": {"GET / HTTP/1.1\r\nHost: a\r\nX: " + long + "\r\n\r\n", 431, `{"errorCode":"HeadersTooLarge"}`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.DialTimeout("tcp", base.Host, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, test.sent); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || string(body) != test.body || response.Header.Get("X-Request-Id") == "" || response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("status %d, %v: %s\nwant %d: %s", response.StatusCode, response.Header, body, test.status, test.body)
			}
		})
	}
}
