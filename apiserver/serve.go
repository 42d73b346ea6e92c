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

// The limits of the HTTP server. A body of 1 MiB arrives within readTimeout at
// 150 kbit/s; writeTimeout leaves room for every attempt of a create.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 120 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	// shutdownTimeout is what requests under way get when the listener closes.
	shutdownTimeout = 30 * time.Second
)

// server is an HTTP server with its listener open.
type server struct {
	http     *http.Server
	listener net.Listener
}

// listen opens a listener for a handler, with a bound to its connections when
// most is positive; serve answers on it.
func listen(address string, most int, handler http.Handler, logger logr.Logger) (*server, error) {
	inner, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if most > 0 {
		inner = netutil.LimitListener(inner, most)
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &server{
		http: &http.Server{
			Protocols:                    protocols,
			Handler:                      handler,
			ReadHeaderTimeout:            readHeaderTimeout,
			ReadTimeout:                  readTimeout,
			WriteTimeout:                 writeTimeout,
			IdleTimeout:                  idleTimeout,
			MaxHeaderBytes:               maxHeaderBytes,
			DisableGeneralOptionsHandler: true, // OPTIONS * is answered with JSON as well
			ErrorLog:                     log.New(lines{logger}, "", 0),
		},
		listener: inner,
	}, nil
}

// serve answers until close or shutdown, which end it without an error.
func (s *server) serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// close ends everything at once.
func (s *server) close() error { return errors.Join(s.http.Close(), s.listener.Close()) }

// shutdown closes the listener and waits for the requests under way.
func (s *server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return fmt.Errorf("wait for the last requests: %w", errors.Join(err, s.http.Close()))
	}
	return nil
}

// lines hands what the HTTP server has to say about connections to our log.
type lines struct{ log logr.Logger }

func (l lines) Write(line []byte) (int, error) {
	l.log.V(1).Info("http server", "line", string(line))
	return len(line), nil
}

// readiness is what /readyz says.
type readiness struct{ yes atomic.Bool }

// probes serves what a cluster asks a replica: /livez is good for as long as
// there is an answer, /readyz when requests are welcome; /metrics is for
// Prometheus.
func probes(ready *readiness, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _ = reply(w, http.StatusOK, []byte(`{"status":"ok"}`)) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.yes.Load() {
			_ = reply(w, http.StatusServiceUnavailable, []byte(`{"status":"not ready"}`))
			return
		}
		_ = reply(w, http.StatusOK, []byte(`{"status":"ok"}`))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	return mux
}
