// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// get returns the status and the body of a GET, or 0 if there is no response.
func get(ctx context.Context, t *testing.T, s *manager.Server, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Listener.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(data)
}

// start runs a server. down shuts it down; ended gets what Start returns.
func start(t *testing.T, h http.Handler) (s *manager.Server, down func(), ended <-chan error) {
	t.Helper()
	s, err := newServer("test", "127.0.0.1:0", 0, h, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	ctx, down := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() { down(); _ = s.Server.Close() })
	return s, down, done
}

func TestProbes(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "some_gauge"}))
	health := &atomic.Value{}
	s, _, _ := start(t, probes(func() Health { return health.Load().(Health) }, registry))
	for _, want := range []struct {
		health Health
		status int
		body   string
	}{
		{Health{StoreReachable: true}, 503, `{"status":"not ready"}`},
		{Health{Ready: true, StoreReachable: true}, 200, `{"status":"ok"}`},
		{Health{Ready: true}, 200, `{"status":"ok","store":"unreachable"}`},
		{Health{}, 503, `{"status":"not ready"}`},
	} {
		health.Store(want.health)
		if status, body := get(t.Context(), t, s, "/readyz"); status != want.status || body != want.body {
			t.Errorf("/readyz is %d %s, want %d %s", status, body, want.status, want.body)
		}
		if status, _ := get(t.Context(), t, s, "/livez"); status != 200 {
			t.Errorf("/livez is %d, want 200", status)
		}
	}
	if status, body := get(t.Context(), t, s, "/metrics"); status != 200 || !strings.Contains(body, "some_gauge 0") {
		t.Errorf("/metrics is %d, %d bytes", status, len(body))
	}
}

func TestShutdownAnswersRunningRequests(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s, down, ended := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" {
			return
		}
		close(arrived)
		<-release
		reply(w, http.StatusOK, []byte(`{}`))
	}))
	answered := make(chan int, 1)
	go func() {
		status, _ := get(context.WithoutCancel(t.Context()), t, s, "/")
		answered <- status
	}()
	<-arrived
	down()
	for { // until the listener is closed
		if status, _ := get(t.Context(), t, s, "/livez"); status == 0 {
			break
		}
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
	if status := <-answered; status != 200 {
		t.Errorf("the running request got %d, want 200", status)
	}
}

// After a wait, a connection can be idle as long as any other, and is closed when the server
// shuts down.
func TestIdleConnections(t *testing.T) {
	for name, header := range map[string]string{"asked": "", "waited": "Prefer: wait=1\r\n"} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, shutdown %t", name, down), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, api, dial := onPipes(t)
					api.Server.RegisterOnShutdown(s.Drain)
					client := dial()
					reader := bufio.NewReader(client)
					ask := func() {
						if _, err := io.WriteString(client, "GET /v1/processes/echo/mine HTTP/1.1\r\nHost: a\r\n"+header+"\r\n"); err != nil {
							t.Fatal(err)
						}
						response, err := http.ReadResponse(reader, nil)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
							t.Errorf("status %d, %v", response.StatusCode, err)
						}
						_ = response.Body.Close()
						synctest.Wait()
					}
					for range 3 {
						ask()
						time.Sleep(idleTimeout - time.Second) //nolint:forbidigo // synctest's time
					}
					ask()
					idleSince, want := time.Now(), idleTimeout
					if down {
						want = 0
						if err := api.Server.Shutdown(t.Context()); err != nil {
							t.Errorf("shutdown: %v", err)
						}
					}
					if b, err := reader.ReadByte(); !errors.Is(err, io.EOF) || time.Since(idleSince) != want {
						t.Errorf("after %s there is %d, %v; want the end after %s", time.Since(idleSince), b, err, want)
					}
				})
			})
		}
	}
}

func TestTakenAddress(t *testing.T) {
	s, _, _ := start(t, nil)
	if _, err := newServer("test", s.Listener.Addr().String(), 0, nil, logr.Discard()); err == nil {
		t.Error("listening twice returns no error")
	}
}
