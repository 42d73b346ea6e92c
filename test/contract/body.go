// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func zip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// testGzip: a body can be compressed with gzip. Its limit is that of the type after the
// decompression, too.
func (s *suite) testGzip(t *testing.T) {
	encoded := func(coding, body string) answer { return s.post(t, body, [2]string{"Content-Encoding", coding}) }
	const body = `{"input":{"any":1.0}}`
	for _, coding := range []string{"gzip", "GZIP", "x-gzip"} {
		if a := encoded(coding, zip(t, body)); a.status != 200 || string(a.Input) != `{"any":1.0}` {
			t.Errorf("%s: status %d: %s", coding, a.status, a.body)
		}
	}
	if a := encoded("identity", body); a.status != 200 {
		t.Errorf("identity: status %d: %s", a.status, a.body)
	}
	for _, coding := range []string{"br", "deflate", "zstd", "gzip, gzip"} {
		a := encoded(coding, zip(t, body))
		want(t, a, 415, `{"errorCode":"UnsupportedMediaType","errorDetails":{"in":"header","at":"Content-Encoding","expected":{"enum":["gzip","identity"]}}}`)
		if got := a.header.Get("Accept-Encoding"); got != "gzip, identity" {
			t.Errorf("%s: Accept-Encoding is %q", coding, got)
		}
	}
	for name, broken := range map[string]string{"plain": body, "cut off": zip(t, body)[:20], "with more behind it": zip(t, body) + "more"} {
		if a := encoded("gzip", broken); a.status != 480 || a.ErrorCode != "InvalidInput" || !strings.Contains(string(a.ErrorDetails), "Content-Encoding") {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
	const tooLarge = `{"errorCode":"InputTooLarge","errorDetails":{"in":"body","expected":{"maxBytes":4096}}}`
	want(t, encoded("gzip", zip(t, `{"input":{"any":"`+strings.Repeat("x", 64<<20)+`"}}`)), 413, tooLarge)
	want(t, encoded("gzip", strings.Repeat(zip(t, ""), 1000)), 413, tooLarge)
}

// testSlowSender: a client that sends all of a body before it reads can read the 413, and
// every other early answer.
func (s *suite) testSlowSender(t *testing.T) {
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if target.Scheme != "http" {
		t.Skip("the requests are written for HTTP without TLS")
	}
	const size = 7 << 20
	for name, test := range map[string]struct {
		head   string
		status int
	}{
		"too large":          {"POST /v1/processes/" + typeName + " HTTP/1.1\r\nContent-Type: application/json\r\n", 413},
		"another media type": {"POST /v1/processes/" + typeName + " HTTP/1.1\r\nContent-Type: image/png\r\n", 415},
		"unknown path":       {"PUT /none HTTP/1.1\r\n", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", target.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(conn, "%sHost: %s\r\nContent-Length: %d\r\n\r\n", test.head, target.Host, size); err != nil {
				t.Fatal(err)
			}
			part := bytes.Repeat([]byte(" "), 256<<10)
			for range size / len(part) {
				if _, err := conn.Write(part); err != nil {
					t.Fatalf("the server does not read what the client sends: %v", err)
				}
				<-time.After(40 * time.Millisecond)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("the answer cannot be read: %v", err)
			}
			defer func() { _ = response.Body.Close() }()
			if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != test.status || !strings.HasPrefix(string(body), `{"errorCode":`) {
				t.Errorf("status %d, want %d: %s, %v", response.StatusCode, test.status, body, err)
			}
		})
	}
}
