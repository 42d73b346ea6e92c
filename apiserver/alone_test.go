// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
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
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/apiserver/processid"
	"procman.dev/procman/internal/store/storetest"
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
func newAlone(t *testing.T, registry *prometheus.Registry, origins ...string) *Server {
	t.Helper()
	ring, err := processid.NewRing(make([]byte, processid.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	types, cache := catalog.New(Contract), processes.NewCache()
	types.Set(&v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: "work"}})
	types.Set(&v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "numbers", Namespace: "work"}, Spec: v1alpha1.ProcessTypeSpec{
		Limits:      v1alpha1.Limits{InputBytes: 8 << 20},
		InputSchema: &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}}}`)},
	}})
	cache.Set(&v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: "work", CreationTimestamp: metav1.Now()},
		Spec:       v1alpha1.ProcessSpec{Type: "echo", LifetimeSeconds: 600, Input: `{}`},
	})
	s, err := New(Options{
		Namespace: "work", Processes: processes.NewStore(processes.Config{
			Cache: cache, Live: storesNothing{}, Ring: keyring.Fixed(ring), Objects: storetest.New(t).Store, Clock: clock.RealClock{}, MaxConcurrent: types.MaxConcurrent,
		}), Catalog: types, Metrics: registry, Origins: origins,
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
func onPipes(t *testing.T) (s *Server, api *manager.Server, dial func() net.Conn) {
	t.Helper()
	s = newAlone(t, prometheus.NewRegistry())
	api, err := newServer("api", "127.0.0.1:0", 0, s, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(api.Server.Close(), api.Listener.Close()) })
	return s, api, func() net.Conn {
		client, conn := net.Pipe()
		t.Cleanup(func() { _ = client.Close() })
		_ = api.Server.Serve(&single{conn: conn}) // returns at once; the connection stays
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
	api, down, ended := start(t, s)
	api.Server.RegisterOnShutdown(s.Drain)
	health, _, _ := start(t, probes(func() Health { return healthy }, registry))
	fmt.Printf("serving %s %s\n", api.Listener.Addr(), health.Listener.Addr())
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	down()
	if err := <-ended; err != nil {
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
	a.command.Env = append(os.Environ(), "PROCMAN_SERVE_ALONE=yes", "GOMEMLIMIT=200MiB") // as config/apiserver has it
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
