// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rawClient is one connection to a facade that has a process called "mine".
type rawClient struct {
	*facade
	conn   net.Conn
	reader *bufio.Reader
}

func newRawClient(t *testing.T) *rawClient {
	c := &rawClient{facade: newFacade(t)}
	c.known("mine", unchanged)
	var err error
	if c.conn, err = net.Dial("tcp", strings.TrimPrefix(c.url, "http://")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() })
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.reader = bufio.NewReader(c.conn)
	return c
}

func (c *rawClient) send(request string) {
	c.Helper()
	if _, err := io.WriteString(c.conn, request); err != nil {
		c.Fatal(err)
	}
}

// answer reads the response to a GET and checks it against openapi.yaml.
func (c *rawClient) answer() (got *http.Response, body string) {
	c.Helper()
	request, err := http.NewRequestWithContext(c.Context(), http.MethodGet, c.url+"/v1/processes/echo/mine", nil)
	if err != nil {
		c.Fatal(err)
	}
	got, err = http.ReadResponse(c.reader, request)
	if err != nil {
		c.Fatal(err)
	}
	data, err := io.ReadAll(got.Body)
	if err != nil {
		c.Fatal(err)
	}
	_ = got.Body.Close()
	if err := checker().Check(request, got, data); err != nil {
		c.Errorf("status %d is not as in openapi.yaml: %v\n%s", got.StatusCode, err, data)
	}
	return got, string(data)
}

// Every form of a GET without a body can wait, its connection can be used again, and
// the server notices at once that its client disconnects.
func TestWaitOnAnyConnection(t *testing.T) {
	const path = "GET /v1/processes/echo/mine "
	for name, request := range map[string]string{
		"HTTP/1.1":                      path + "HTTP/1.1\r\nHost: a\r\nPrefer: wait=30\r\n\r\n",
		"HTTP/1.0 with keep-alive (ab)": path + "HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a\r\nPrefer: wait=30\r\n\r\n",
		"a length of zero":              path + "HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nPrefer: wait=30\r\n\r\n",
		"an empty chunked body":         path + "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nPrefer: wait=30\r\n\r\n0\r\n\r\n",
		"a short body":                  path + "HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nPrefer: wait=30\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			c := newRawClient(t)
			for range 3 {
				c.known("mine", unchanged)
				c.send(request)
				c.timers(1)
				c.known("mine", finished)
				response, body := c.answer()
				if response.StatusCode != 200 || response.Close || body != mineComplete || response.Header.Get("Preference-Applied") != "wait=30" {
					t.Fatalf("status %d, close %t, %v: %s", response.StatusCode, response.Close, response.Header, body)
				}
				c.timers(0)
			}
			c.known("mine", unchanged)
			c.send(request)
			c.timers(1)
			_ = c.conn.Close()
			c.timers(0)
			c.served(499, 1)
		})
	}
}

// HTTP/2 without TLS works, and one connection can carry many waits.
func TestWaitOverHTTP2(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	const many = 20
	answers := make(chan string, many)
	for range many {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/v1/processes/echo/mine", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Prefer", "wait=30")
		go func() {
			response, err := transport.RoundTrip(request)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.ProtoMajor != 2 {
				t.Errorf("HTTP/%d, %v", response.ProtoMajor, err)
			}
			answers <- string(body)
		}()
	}
	f.timers(many)
	f.known("mine", finished)
	for range many {
		if got := <-answers; got != mineComplete {
			t.Errorf("got %s", got)
		}
	}
}

// A client that closes its side of the connection can still read. Its wait ends at
// once, with the process as it is.
func TestHalfClosedWhileWaiting(t *testing.T) {
	for header, timers := range map[string]int{"": 0, "Prefer: wait=30\r\n": 1, "Accept: text/event-stream\r\n": 2} {
		t.Run(header, func(t *testing.T) {
			c := newRawClient(t)
			c.send("GET /v1/processes/echo/mine HTTP/1.1\r\nHost: a\r\n" + header + "\r\n")
			c.timers(timers)
			if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			response, body := c.answer()
			if _, err := c.reader.ReadByte(); response.StatusCode != 200 || !strings.Contains(body, mineProcessing) || !errors.Is(err, io.EOF) {
				t.Errorf("status %d, %v: %s", response.StatusCode, err, body)
			}
			if c.timers(0); c.watched() != 0 {
				t.Errorf("%d watches left", c.watched())
			}
		})
	}
}

// A wait is not cut by the time that a request may take to arrive or an answer may
// take to be read.
func TestWaitIsNotCutByTimeouts(t *testing.T) {
	for name, tc := range map[string]struct{ header, applied string }{
		"wait":   {"Prefer: wait=30", "wait=30"},
		"stream": {"Accept: text/event-stream", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.known("mine", unchanged)
			server := f.serveWith(&http.Server{ReadTimeout: 300 * time.Millisecond, WriteTimeout: 300 * time.Millisecond})
			conn, err := net.Dial("tcp", server)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, "GET /v1/processes/echo/mine HTTP/1.1\r\nHost: a\r\n"+tc.header+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			f.until("it waits", func() bool { return f.clock.HasWaiters() })
			<-time.After(900 * time.Millisecond) // three times each timeout
			f.known("mine", finished)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			data, err := io.ReadAll(response.Body)
			if err != nil || !strings.Contains(string(data), mineComplete) || response.Header.Get("Preference-Applied") != tc.applied {
				t.Errorf("status %d, %v, %v: %s", response.StatusCode, response.Header, err, data)
			}
		})
	}
}
