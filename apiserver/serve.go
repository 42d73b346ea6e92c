// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// The limits of the HTTP server. readBody extends readTimeout while a body arrives, and
// extendWriteDeadline writeTimeout. writeTimeout is enough for all attempts of a create.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 120 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	// shutdownTimeout is the time for running requests after the listener has closed.
	shutdownTimeout = 30 * time.Second
)

// newServer returns an HTTP server with an open listener; its Start serves. It bounds the
// number of connections if maxConnections is positive. It serves HTTP/1.1, and HTTP/2
// without TLS.
func newServer(name, address string, maxConnections int, handler http.Handler, logger logr.Logger) (*manager.Server, error) {
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
	return &manager.Server{
		Name: name,
		Server: &http.Server{
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
		Listener:        listener,
		ShutdownTimeout: new(shutdownTimeout),
	}, nil
}

// logWriter writes what net/http reports about connections to our log.
type logWriter struct{ log logr.Logger }

func (l logWriter) Write(line []byte) (int, error) {
	l.log.V(1).Info("http server", "line", string(line))
	return len(line), nil
}

// probes serves /livez, /readyz, and /metrics for Prometheus.
func probes(health func() Health, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { replyHealth(w, healthy) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { replyHealth(w, health()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	return mux
}

// Health is what /readyz reports.
type Health struct {
	// Ready is false before the facade serves and while it drains.
	Ready bool
	// StoreReachable is false while the object store cannot be reached. Processes with small
	// payloads work nevertheless, so it does not make the facade unready.
	StoreReachable bool
}

var healthy = Health{Ready: true, StoreReachable: true}

// replyHealth answers a probe.
func replyHealth(w http.ResponseWriter, h Health) {
	switch {
	case !h.Ready:
		reply(w, http.StatusServiceUnavailable, []byte(`{"status":"not ready"}`))
	case !h.StoreReachable:
		reply(w, http.StatusOK, []byte(`{"status":"ok","store":"unreachable"}`))
	default:
		reply(w, http.StatusOK, []byte(`{"status":"ok"}`))
	}
}
