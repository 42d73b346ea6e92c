// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/apiserver/processid"
)

// storesNothing is an API server that accepts every create, keeps nothing, and must
// not be read.
type storesNothing struct {
	client.Reader
	processes.Live
}

var errRead = errors.New("the API server was read")

func (storesNothing) Create(context.Context, client.Object, ...client.CreateOption) error { return nil }
func (storesNothing) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errRead
}
func (storesNothing) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errRead
}

// newAlone returns a facade without a cluster, which has a process called "mine".
func newAlone(t *testing.T, registry *prometheus.Registry) *Server {
	t.Helper()
	ring, err := processid.NewRing(make([]byte, processid.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	types, cache := catalog.New(Contract), processes.NewCache()
	types.OnAdd(&v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: "work"}}, false)
	cache.OnAdd(&v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: "work", CreationTimestamp: metav1.Now()},
		Spec:       v1alpha1.ProcessSpec{Type: "echo", LifetimeSeconds: 600, Input: `{}`},
	}, false)
	s, err := New(Options{
		Namespace: "work", Processes: processes.NewStore(cache, storesNothing{}, keyring.Fixed(ring), clock.RealClock{}), Catalog: types, Metrics: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// single is a listener of one connection.
type single struct {
	conn net.Conn
	used bool
}

func (l *single) Accept() (net.Conn, error) {
	if l.used {
		return nil, io.EOF
	}
	l.used = true
	return l.conn, nil
}
func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }

// onPipes is such a Server on connections without a network, so that synctest's
// clock advances.
func onPipes(t *testing.T) (s *Server, api *server, dial func() net.Conn) {
	t.Helper()
	s = newAlone(t, prometheus.NewRegistry())
	api, err := listen("127.0.0.1:0", 0, s, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.close() })
	return s, api, func() net.Conn {
		client, conn := net.Pipe()
		t.Cleanup(func() { _ = client.Close() })
		_ = api.http.Serve(&single{conn: conn}) // returns at once; the connection stays
		return client
	}
}

// serveAlone runs a facade, with all the limits of a real one, until it reads a
// line from stdin; then it shuts down. It prints the addresses of the API and of
// the probes.
func serveAlone(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	s := newAlone(t, registry)
	api, ended := start(t, s)
	api.http.RegisterOnShutdown(s.Drain)
	ready := &atomic.Bool{}
	health, _ := start(t, probes(ready, registry))
	fmt.Printf("serving %s %s\n", api.listener.Addr(), health.listener.Addr())
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(api.shutdown(), <-ended); err != nil {
		t.Fatal(err)
	}
}

// alone is a facade in a process of its own.
type alone struct {
	command     *exec.Cmd
	stop        io.Writer
	api, health string
}

func startAlone(t *testing.T) *alone {
	t.Helper()
	a := &alone{command: exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")}
	a.command.Env = append(os.Environ(), "PROCMAN_SERVE_ALONE=yes", "GOMEMLIMIT=220MiB") // as config/apiserver has it
	var err error
	if a.stop, err = a.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := a.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.command.Process.Kill(); _ = a.command.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "serving %s %s", &a.api, &a.health); n == 2 {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return a
		}
	}
	t.Fatal("the facade does not serve")
	return nil
}

// metric is the value of one of the facade's metrics.
func (a *alone) metric(t *testing.T, name string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.health+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// becomes waits until a condition on a metric is true.
func (a *alone) becomes(t *testing.T, name string, holds func(int) bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !holds(a.metric(t, name)); <-tick.C {
		if time.Since(start) > time.Minute {
			t.Fatalf("metric %s stays at %d", name, a.metric(t, name))
		}
	}
}

// peakMiB returns the largest amount of memory that the facade has used.
func (a *alone) peakMiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib >> 10
		}
	}
	t.Fatal("there is no VmHWM")
	return 0
}

// open opens n connections and sends a text on each.
func (a *alone) open(t *testing.T, n int, text string) []net.Conn {
	t.Helper()
	// From an address whose ports no other test listens on.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := dialer.DialContext(t.Context(), "tcp", a.api)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	return conns
}

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

// ask sends a request and returns the status of its answer.
func (a *alone) ask(ctx context.Context, method, path, body string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+a.api+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
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
			return sendEvent(w, body)
		}, "data: " + want + "\n\n"},
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
	s, err := listen("127.0.0.1:0", 2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, []byte(`{}`)) }), logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.serve() }()
	t.Cleanup(func() { _ = s.close() })
	a := &alone{api: s.listener.Addr().String()}
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
