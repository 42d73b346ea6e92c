// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// The limits of the HTTP server. A body of 1 MiB arrives within readTimeout at 150
// kbit/s. writeTimeout is enough for all attempts of a create; a wait or a stream extends
// it.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 120 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	// shutdownTimeout is the time for running requests after the listener has closed.
	shutdownTimeout = 30 * time.Second
)

// server is an HTTP server with an open listener.
type server struct {
	http     *http.Server
	listener net.Listener
}

// listen opens a listener. It bounds the number of connections if maxConnections is
// positive. It serves HTTP/1.1, and HTTP/2 without TLS.
func listen(address string, maxConnections int, handler http.Handler, logger logr.Logger) (*server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if maxConnections > 0 {
		listener = netutil.LimitListener(listener, maxConnections)
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &server{
		http: &http.Server{
			Handler:                      handler,
			Protocols:                    protocols,
			ReadHeaderTimeout:            readHeaderTimeout,
			ReadTimeout:                  readTimeout,
			WriteTimeout:                 writeTimeout,
			IdleTimeout:                  idleTimeout,
			MaxHeaderBytes:               maxHeaderBytes,
			DisableGeneralOptionsHandler: true, // so that OPTIONS * gets JSON, too
			ErrorLog:                     log.New(logWriter{logger}, "", 0),
		},
		listener: listener,
	}, nil
}

// serve answers requests until close or shutdown, after which it returns nil.
func (s *server) serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// close closes the listener and all connections at once.
func (s *server) close() error { return errors.Join(s.http.Close(), s.listener.Close()) }

// shutdown closes the listener and waits for the running requests.
func (s *server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return fmt.Errorf("wait for the running requests: %w", errors.Join(err, s.http.Close()))
	}
	return nil
}

// logWriter writes what net/http reports about connections to our log.
type logWriter struct{ log logr.Logger }

func (l logWriter) Write(line []byte) (int, error) {
	l.log.V(1).Info("http server", "line", string(line))
	return len(line), nil
}

// probes serves /livez, which is always good; /readyz, which is good while ready is true;
// and /metrics for Prometheus.
func probes(ready *atomic.Bool, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, []byte(`{"status":"ok"}`)) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			reply(w, http.StatusServiceUnavailable, []byte(`{"status":"not ready"}`))
			return
		}
		reply(w, http.StatusOK, []byte(`{"status":"ok"}`))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	return mux
}
