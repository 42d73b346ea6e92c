// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"procman.dev/procman/apiserver/processes"
)

// DefaultMaxWaiters requests wait on one replica, half of them event streams, within
// 256 MiB and without a call to the API server. A request above the bound does not
// wait. A client that disconnects makes room at once, and a shutdown answers the
// others.
func TestManyWaiters(t *testing.T) {
	if os.Getenv("PROCMAN_SERVE_ALONE") != "" {
		serveAlone(t)
		return
	}
	a := startAlone(t)
	idle := a.metric(t, "go_goroutines")
	const half = DefaultMaxWaiters / 2
	get := func(header string) string {
		return "GET /v1/processes/echo/mine HTTP/1.1\r\nHost: a\r\nUser-Agent: a client of the usual kind/1.0\r\nX-Request-Id: 0123456789abcdef\r\n" + header + "\r\n\r\n"
	}
	const wait, stream = "Prefer: wait=60", "Accept: text/event-stream"
	waiting := a.open(t, half, get(wait))
	streaming := a.open(t, half, get(stream))
	a.becomes(t, "procman_http_waiting_requests", func(n int) bool { return n == 2*half })
	const body = `"state":"processing"`
	read := func(c net.Conn) (*http.Response, string) {
		t.Helper()
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		defer func() { _ = response.Body.Close() }()
		data, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("a part of an answer: %v", err)
		}
		return response, string(data)
	}
	response, data := read(a.open(t, 1, get(wait))[0])
	if response.StatusCode != http.StatusOK || response.Header.Get("Preference-Applied") != "" || !strings.Contains(data, body) {
		t.Errorf("a wait above the bound: status %d, %v: %s", response.StatusCode, response.Header, data)
	}
	response, data = read(a.open(t, 1, get(stream))[0])
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "1" || data != `{"errorCode":"TooManyRequests"}` {
		t.Errorf("a stream above the bound: status %d, %v: %s", response.StatusCode, response.Header, data)
	}
	peak := a.peakMiB(t)
	t.Logf("%d waiters take %d MiB", 2*half, peak)
	if peak > 256 {
		t.Errorf("%d waiters take %d MiB, want 256 at most", 2*half, peak)
	}
	for i := range half / 2 {
		_, _ = waiting[i].Close(), streaming[i].Close()
	}
	a.becomes(t, "procman_http_waiting_requests", func(n int) bool { return n == half })
	a.becomes(t, "go_goroutines", func(n int) bool { return n <= idle+2*half+10 }) // a waiter has two
	if _, err := io.WriteString(a.stop, "stop\n"); err != nil {
		t.Fatal(err)
	}
	for i := half / 2; i < half; i++ {
		for _, c := range []net.Conn{waiting[i], streaming[i]} {
			if response, data := read(c); response.StatusCode != http.StatusOK || !strings.Contains(data, body) {
				t.Fatalf("after the shutdown: status %d: %s", response.StatusCode, data)
			}
		}
	}
	if err := a.command.Wait(); err != nil {
		t.Errorf("the facade ends with %v", err)
	}
}

// A thousand clients send slowly, half of them their headers and half a large body.
// All others are served as usual, and large inputs that are accepted stay within
// 256 MiB.
func TestSlowClientsDoNotStarveOthers(t *testing.T) {
	if os.Getenv("PROCMAN_SERVE_ALONE") != "" {
		serveAlone(t)
		return
	}
	a := startAlone(t)
	a.open(t, 500, "GET /v1/processes/echo/mine HTTP/1.1\r\nHost: a\r\nX-Slow")
	a.open(t, 500, "POST /v1/processes/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n{\"input\":{\"a\":\"")
	large := `{"input":{"filler":"` + strings.Repeat("x", 400<<10) + `"}`
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for range 50 {
				for _, ask := range []struct {
					method, path, body string
					status             int
				}{
					{http.MethodGet, "/v1/processes/echo/mine", "", 200},
					{http.MethodPost, "/v1/processes/echo", large + `}`, 200},
					{http.MethodPost, "/v1/processes/echo", large + `,"more":1}`, 480},
				} {
					status, err := a.ask(t.Context(), ask.method, ask.path, ask.body)
					if err != nil {
						t.Errorf("%s: %v", ask.method, err)
						return
					}
					if status != ask.status && status != http.StatusTooManyRequests {
						t.Errorf("%s: status %d, want %d", ask.method, status, ask.status)
					}
				}
			}
		})
	}
	clients.Wait()
	peak := a.peakMiB(t)
	t.Logf("it took %d MiB", peak)
	if peak > 256 {
		t.Errorf("it took %d MiB, want 256 at most", peak)
	}
}

// Bodies of small elements take several times their size when they are parsed. Many of them,
// up to the largest that a type can allow, stay within 256 MiB, and each is accepted as soon
// as there is memory for it.
func TestSmallElements(t *testing.T) {
	if os.Getenv("PROCMAN_SERVE_ALONE") != "" {
		serveAlone(t)
		return
	}
	a := startAlone(t)
	var clients sync.WaitGroup
	for i := range 12 {
		body := `{"input":{"a":[` + strings.Repeat("0,", []int{256 << 10, 4<<20 - 100}[i%2]) + `0]}}`
		clients.Go(func() {
			for range 300 {
				status, err := a.ask(t.Context(), http.MethodPost, "/v1/processes/numbers", body)
				if err != nil {
					t.Errorf("POST: %v", err)
					return
				}
				if status == http.StatusOK {
					return
				}
				if status != http.StatusTooManyRequests {
					t.Errorf("POST: status %d", status)
					return
				}
				<-time.After(100 * time.Millisecond) // a tenth of Retry-After
			}
			t.Errorf("a body of %d bytes is never accepted", len(body))
		})
	}
	clients.Wait()
	peak := a.peakMiB(t)
	t.Logf("it took %d MiB", peak)
	if peak > 256 {
		t.Errorf("it took %d MiB, want 256 at most", peak)
	}
}

// sent is a connection that keeps the slices that are written to it, without copying.
type sent struct {
	net.Conn
	parts [][]byte
}

func (s *sent) Write(b []byte) (int, error) {
	s.parts = append(s.parts, b)
	return s.Conn.Write(b)
}

// The server makes no copy of a large answer for each client that reads it.
func TestLargeAnswersAreNotCopied(t *testing.T) {
	want := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, tc := range map[string]struct {
		send func(http.ResponseWriter, []byte) error
		body string
	}{
		"answer": {func(w http.ResponseWriter, body []byte) error {
			reply(w, http.StatusOK, body)
			return nil
		}, want},
		"event": {func(w http.ResponseWriter, body []byte) error {
			w.WriteHeader(http.StatusOK)
			answer := (&processes.Store{}).NewBody()
			answer.Append(body)
			return (&stream{w: w}).sendBody(t.Context(), "1", answer)
		}, "id: 1\ndata: " + want + "\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := []byte(want)
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if err := tc.send(w, body); err != nil {
						t.Error(err)
					}
				})}
				client, conn := net.Pipe()
				memory := &sent{Conn: conn}
				_ = server.Serve(&single{conn: memory})
				if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				response, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(response.Body)
				if err != nil || string(got) != tc.body {
					t.Errorf("the answer has %d bytes, %v", len(got), err)
				}
				_ = response.Body.Close()
				_ = client.Close()
				synctest.Wait()
				clear(body)
				copied := 0
				for _, part := range memory.parts {
					copied += len(part) - bytes.Count(part, []byte{0})
				}
				if copied > 16<<10 {
					t.Errorf("%d bytes of it are copied", copied)
				}
			})
		})
	}
}

// Connections over the bound wait until another ends.
func TestConnectionsAreBounded(t *testing.T) {
	s, err := newServer("api", "127.0.0.1:0", 2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, []byte(`{}`)) }), logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Server.Serve(s.Listener) }()
	t.Cleanup(func() { _ = s.Server.Close() })
	a := &alone{api: s.Listener.Addr().String()}
	conns := a.open(t, 3, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	answered := func(c net.Conn, within time.Duration) bool {
		if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the connection is closed
		return err == nil
	}
	if !answered(conns[0], time.Minute) || !answered(conns[1], time.Minute) {
		t.Error("the first two are not answered")
	}
	if answered(conns[2], 100*time.Millisecond) {
		t.Error("the third is answered at once")
	}
	_ = conns[0].Close()
	if !answered(conns[2], time.Minute) {
		t.Error("the third is never answered")
	}
}
