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
	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/budget"
	"procman.dev/procman/internal/wire"
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
	Metrics ctrlmetrics.RegistererGatherer
	// Sunset is when /v4 stops being served (RFC 8594). The zero time is not announced.
	Sunset time.Time
	// Origins are the origins of the pages whose scripts may use the API, such as
	// https://example.com, or * for all. By default, no origin is allowed.
	Origins []string
	// Health is what /readyz reports; always good by default.
	Health func() Health
}

// Server is the facade's http.Handler.
type Server struct {
	handler     http.Handler
	namespace   string
	processes   *processes.Store
	catalog     *catalog.Catalog
	bodyMemory  *budget.Budget
	parseMemory *budget.Budget
	waiters     *semaphore.Weighted // one unit for each request that waits
	limiter     *limiter
	clock       clock.Clock
	log         logr.Logger
	metrics     *metrics
	sunset      time.Time
	health      func() Health

	draining  chan struct{} // closed by Drain
	drainOnce sync.Once
}

// New returns the facade. It returns an error if an option is missing, an origin is not
// valid, or a metric is registered already.
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
	if o.Health == nil {
		o.Health = func() Health { return healthy }
	}
	if err := CheckOrigins(o.Origins); err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s := &Server{
		namespace: o.Namespace, processes: o.Processes, catalog: o.Catalog,
		bodyMemory: budget.New(maxBodyBytes), parseMemory: budget.New(maxParseBytes), waiters: semaphore.NewWeighted(int64(cmp.Or(o.MaxWaiters, DefaultMaxWaiters))),
		limiter: newLimiter(o.Limit), clock: o.Clock, log: o.Log, metrics: m, sunset: o.Sunset, health: o.Health, draining: make(chan struct{}),
	}
	s.handler = s.routes()
	// Every request passes these, the last one first.
	for _, middleware := range []func(http.Handler) http.Handler{
		s.refuseDots,
		s.limitClients,
		s.markDeprecated,
		mergeSlashes,
		allowOrigins(o.Origins),
		drainBody,
		setCommonHeaders,
		s.logAndCount,
	} {
		s.handler = middleware(s.handler)
	}
	return s, nil
}

// ServeHTTP answers every request with JSON, except for event streams and /docs.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// deprecatedVersion is the alias of /v1 on the routes that are older than /v1.
const deprecatedVersion = "/v4"

// route is one method of one path. GET serves HEAD also.
type route struct {
	method, path string
	serve        handler
	// parameters are the names of the query parameters that it accepts.
	parameters []string
	// show is what it shows without the parameter include.
	show wire.Payloads
}

// handler serves one route. It either writes a whole response and returns nil, or writes
// nothing and returns an error, which becomes a response in problemOf.
type handler func(w http.ResponseWriter, r *request) error

// request is a request with what its path and its query name, before anything is looked
// up.
type request struct {
	*http.Request
	namespace string
	typeName  string // a type's name or alias; "" if the route has none
	id        string // "" if the route has none
	query     processes.Query
}

// routes returns every route. Each is served with and without a trailing slash.
func (s *Server) routes() http.Handler {
	all := []route{
		{method: http.MethodGet, path: "/", serve: getRoot},
		{method: http.MethodGet, path: "/v1/processTypes", serve: document(s.catalog.ProcessTypes)},
		{method: http.MethodGet, path: "/openapi.json", serve: document(s.catalog.OpenAPI)},
		{method: http.MethodGet, path: "/docs", serve: getDocs},
		{method: http.MethodGet, path: "/docs/{asset}", serve: getDocs},
		{method: http.MethodGet, path: "/livez", serve: getLivez},
		{method: http.MethodGet, path: "/readyz", serve: s.getReadyz},
	}
	for _, version := range []string{"/v1", deprecatedVersion} {
		ofType := version + "/processes/{type}"
		ofProcess := ofType + "/{id}"
		all = append(all,
			route{method: http.MethodPost, path: ofType, serve: s.createProcess, show: wire.All},
			route{method: http.MethodGet, path: ofType, serve: s.listProcesses, parameters: []string{"state", "limit", "continue", "include", "label"}},
			route{method: http.MethodGet, path: ofProcess, serve: s.getProcess, parameters: []string{"include"}, show: wire.All},
			route{method: http.MethodDelete, path: ofProcess, serve: s.deleteProcess},
		)
	}
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, t := range all {
		allowed[t.path] = append(allowed[t.path], t.method)
		if t.method == http.MethodGet {
			allowed[t.path] = append(allowed[t.path], http.MethodHead)
		}
		s.handle(mux, t.method+" ", t.path, func(w http.ResponseWriter, r *http.Request) error {
			// To authorize requests, do it here: nothing has been looked up yet. The type
			// can be an alias, so that only the namespace and the route can be rules.
			query, err := parseQuery(r.URL.RawQuery, t.parameters, t.show)
			if err != nil {
				return err
			}
			return t.serve(w, &request{r, s.namespace, r.PathValue("type"), r.PathValue("id"), query})
		})
	}
	for path, methods := range allowed {
		slices.Sort(methods)
		s.handle(mux, "", path, func(http.ResponseWriter, *http.Request) error {
			return methodNotAllowed.problem().with("Allow", strings.Join(methods, ", "))
		})
	}
	mux.Handle("/", s.serve("", func(http.ResponseWriter, *http.Request) error { return resourceNotFound.problem() }))
	return mux
}

// handle registers a path for a method, which ends with a space, or for all others.
func (s *Server) handle(mux *http.ServeMux, method, path string, serve func(http.ResponseWriter, *http.Request) error) {
	mux.Handle(method+strings.TrimSuffix(path, "/")+"/{$}", s.serve(path, serve))
	if path != "/" {
		mux.Handle(method+path, s.serve(path, serve))
	}
}

// serve makes an http.Handler of a function: errors and panics become responses.
func (s *Server) serve(path string, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logOf(r).route = path
		if err := recovered(func() error { return serve(w, r) }); err != nil {
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
