// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver is the HTTP facade (docs/contract.md, section 1): a POST creates a
// Process, and a GET shows it. The package contains only what is HTTP; package processes
// finds and changes the Processes, and package catalog knows their types. The facade has
// no state of its own, so that any number of replicas can serve.
package apiserver

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/budget"
)

// Contract is the OpenAPI 3.1 description of the API, as YAML, with {processType} in the
// place of a type.
//
//go:embed openapi.yaml
var Contract []byte

// Options configure a Server. Fields are required unless their comment names a default.
type Options struct {
	// Namespace contains the Processes and the ProcessTypes.
	Namespace string
	// Processes are the Processes.
	Processes *processes.Store
	// Catalog contains the process types.
	Catalog *catalog.Catalog
	// Clock is the real clock by default.
	Clock clock.Clock
	// Limit bounds how many requests one client makes. The zero Limit sets no bound.
	Limit Limit
	// MaxWaiters bounds how many requests wait for a change of a process at a time,
	// event streams included. The default is DefaultMaxWaiters.
	MaxWaiters int
	// Log gets one line for each request. The zero Logger discards them.
	Log logr.Logger
	// Metrics is where the metrics are registered; nowhere by default.
	Metrics prometheus.Registerer
	// Sunset is when /v4 stops being served (RFC 8594). The zero time is not announced.
	Sunset time.Time
}

// Server is the facade's http.Handler.
type Server struct {
	handler    http.Handler
	namespace  string
	processes  *processes.Store
	catalog    *catalog.Catalog
	bodyMemory *budget.Budget
	waiters    *semaphore.Weighted // one unit for each request that waits
	limiter    *limiter
	clock      clock.Clock
	log        logr.Logger
	metrics    *metrics
	sunset     time.Time

	draining  chan struct{} // closed by Drain
	drainOnce sync.Once
}

// New returns the facade. It returns an error if an option is missing or a metric is
// registered already.
func New(o Options) (*Server, error) {
	if o.Namespace == "" || o.Processes == nil || o.Catalog == nil {
		return nil, errors.New("an option is missing, expected Namespace, Processes and Catalog")
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s := &Server{
		namespace: o.Namespace, processes: o.Processes, catalog: o.Catalog,
		bodyMemory: budget.New(maxBodyBytes), waiters: semaphore.NewWeighted(int64(cmp.Or(o.MaxWaiters, DefaultMaxWaiters))),
		limiter: newLimiter(o.Limit), clock: o.Clock, log: o.Log, metrics: m, sunset: o.Sunset, draining: make(chan struct{}),
	}
	s.handler = s.routes()
	// Every request passes these, the last one first.
	for _, middleware := range []func(http.Handler) http.Handler{
		s.refuseUncleanPaths,
		s.limitClients,
		s.markDeprecated,
		setCommonHeaders,
		s.observe,
	} {
		s.handler = middleware(s.handler)
	}
	return s, nil
}

// ServeHTTP answers every request with JSON, except for event streams and /docs.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// deprecatedVersion is the alias of /v1 on the routes that are older than /v1.
const deprecatedVersion = "/v4"

// routes returns every route. Each is served with and without a trailing slash.
func (s *Server) routes() http.Handler {
	ofType := methods{http.MethodPost: s.createProcess, http.MethodGet: s.listProcesses}
	ofProcess := methods{http.MethodGet: s.getProcess, http.MethodDelete: s.deleteProcess}
	mux := http.NewServeMux()
	for _, version := range []string{"/v1", deprecatedVersion} {
		s.handle(mux, version+"/processes/{type}", ofType)
		s.handle(mux, version+"/processes/{type}/{id}", ofProcess)
	}
	s.handle(mux, "/v1/processTypes", methods{http.MethodGet: document(s.catalog.ProcessTypes)})
	s.handle(mux, "/openapi.json", methods{http.MethodGet: document(s.catalog.OpenAPI)})
	s.handle(mux, "/docs", methods{http.MethodGet: getDocs})
	s.handle(mux, "/docs/{asset}", methods{http.MethodGet: getDocs})
	mux.Handle("/", s.serve("", func(http.ResponseWriter, *request) error { return resourceNotFound.problem() }))
	return mux
}

// handler serves one route. It either writes a whole response and returns nil, or writes
// nothing and returns an error, which becomes a response in problemOf.
type handler func(w http.ResponseWriter, r *request) error

// methods are the handlers of one path. GET serves HEAD also.
type methods map[string]handler

// handle registers the methods of a path, and 405 for all others.
func (s *Server) handle(mux *http.ServeMux, path string, m methods) {
	for _, pattern := range []string{path, path + "/{$}"} {
		for method, h := range m {
			mux.Handle(method+" "+pattern, s.serve(path, h))
		}
		mux.Handle(pattern, s.serve(path, m.notAllowed))
	}
}

// notAllowed answers a method that a path does not have.
func (m methods) notAllowed(http.ResponseWriter, *request) error {
	allowed := make([]string, 0, len(m)+1)
	for method := range m {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return methodNotAllowed.problem().with("Allow", strings.Join(allowed, ", "))
}

// request is a request with what its path names, before anything is looked up.
type request struct {
	*http.Request
	namespace string
	typeName  string // a type's name or alias; "" if the route has none
	id        string // "" if the route has none
}

// serve makes an http.Handler of a handler: errors and panics become responses.
func (s *Server) serve(route string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r).route = route
		// To authorize requests, do it here: namespace, type and id are known, and
		// nothing has been looked up yet.
		err := recovered(h, w, &request{r, s.namespace, r.PathValue("type"), r.PathValue("id")})
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// process returns the key of the process that a path names. A type that is not
// registered can have been: its processes still exist or have expired, which their ids
// prove.
func (s *Server) process(r *request) processes.Key {
	key := processes.Key{Namespace: r.namespace, Type: r.typeName, ID: r.id}
	if t := s.catalog.Lookup(r.namespace, r.typeName); t != nil {
		key.Type = t.Name
	}
	return key
}
