// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	testingclock "k8s.io/utils/clock/testing"
)

// limited returns a facade with a limit, and a function that makes a request of a client
// at an address, with headers as pairs of name and value.
func limited(t *testing.T, l Limit) (c *testingclock.FakeClock, ask func(address string, header ...string) *http.Response) {
	t.Helper()
	s := newAlone(t, prometheus.NewRegistry())
	c = testingclock.NewFakeClock(time.Now())
	s.clock, s.limiter = c, newLimiter(l)
	handler := s.logAndCount(s.limitClients(s.routes()))
	return c, func(address string, header ...string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/processes/echo/mine", nil)
		r.RemoteAddr = address
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result()
	}
}

// A client gets its burst at once, then requests at the rate of the limit, and gets
// the time of the next one. Other clients are not affected.
func TestClientLimit(t *testing.T) {
	c, ask := limited(t, Limit{PerSecond: 0.5, Burst: 3})
	want := func(address string, status int, retryAfter string) {
		t.Helper()
		got := ask(address) //nolint:bodyclose // a recorder's
		if got.StatusCode != status || got.Header.Get("Retry-After") != retryAfter {
			t.Errorf("%s: status %d, Retry-After %q, want %d and %q", address, got.StatusCode, got.Header.Get("Retry-After"), status, retryAfter)
		}
	}
	const one, two = "192.0.2.1:1000", "192.0.2.2:1000"
	for range 3 {
		want(one, 200, "1") // the process is processing, so that a 200 has it, too
	}
	want(one, 429, "2")
	want("192.0.2.1:2000", 429, "2") // another port is the same client
	want(two, 200, "1")
	c.Step(1500 * time.Millisecond)
	want(one, 429, "1") // a refused request costs nothing
	c.Step(500 * time.Millisecond)
	want(one, 200, "1")
	want(one, 429, "2")
	c.Step(time.Hour)
	for range 3 {
		want(one, 200, "1")
	}
	want(one, 429, "2")
}

func TestNoClientLimit(t *testing.T) {
	_, ask := limited(t, Limit{Burst: 1})
	for range 100 {
		if got := ask("192.0.2.1:1"); got.StatusCode != 200 { //nolint:bodyclose // a recorder's
			t.Fatalf("status %d", got.StatusCode)
		}
	}
}

// Which requests count as those of one client.
func TestClientOfARequest(t *testing.T) {
	for name, tc := range map[string]struct {
		header  string   // AddressHeader
		sent    []string // its values
		address string   // of the connection
		want    string
	}{
		"IPv4":                       {"", nil, "192.0.2.1:80", "192.0.2.1"},
		"IPv4 in IPv6":               {"", nil, "[::ffff:192.0.2.1]:80", "192.0.2.1"},
		"IPv6 is its /64":            {"", nil, "[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"},
		"IPv6 with a zone":           {"", nil, "[fe80::1%eth0]:80", "fe80::/64"},
		"not an address":             {"", nil, "@", "@"},
		"a header that is not named": {"", []string{"198.51.100.7"}, "192.0.2.1:80", "192.0.2.1"},
		"header":                     {"X-Forwarded-For", []string{"198.51.100.7"}, "192.0.2.1:80", "198.51.100.7"},
		"header, last address":       {"X-Forwarded-For", []string{"198.51.100.7, 203.0.113.9"}, "192.0.2.1:80", "203.0.113.9"},
		"header, last of several":    {"X-Forwarded-For", []string{"198.51.100.7", "203.0.113.9"}, "192.0.2.1:80", "203.0.113.9"},
		"header with a port":         {"X-Forwarded-For", []string{"198.51.100.7:1234"}, "192.0.2.1:80", "198.51.100.7"},
		"header is absent":           {"X-Forwarded-For", nil, "192.0.2.1:80", "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr = tc.address
			r.Header["X-Forwarded-For"] = tc.sent
			if got := newLimiter(Limit{PerSecond: 1, AddressHeader: tc.header}).client(r); got != tc.want {
				t.Errorf("the client is %q, want %q", got, tc.want)
			}
		})
	}
}
