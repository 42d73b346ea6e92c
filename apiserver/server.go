// Package apiserver is the HTTP facade (CONTRACT.md, section 1): it turns a POST
// into a Process and answers a GET from what became of it. It holds no state of
// its own, and any number of replicas serve side by side.
package apiserver

import (
	"cmp"
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

	"procman.dev/procman/apiserver/keyring"
)

// Options are what a Server needs. All fields are required but those said to be
// optional.
type Options struct {
	// Namespace is where the Processes are.
	Namespace string
	// Cache knows the Processes.
	Cache *Cache
	// Live reads and writes at the API server itself.
	Live Live
	// Types knows the process types.
	Types *Types
	// Ring signs and verifies ids.
	Ring *keyring.Ring
	// Clock tells the time; the real one when nil.
	Clock clock.Clock
	// Limit bounds how many requests one client makes. The zero Limit is no bound.
	Limit Limit
	// MaxWaiters bounds how many requests wait for a change of a process at a time,
	// event streams included. DefaultMaxWaiters when 0.
	MaxWaiters int
	// Log gets one line per request. It discards when zero.
	Log logr.Logger
	// Metrics is where the metrics are registered; nowhere when nil.
	Metrics prometheus.Registerer
	// Sunset is when /v4 stops being served (RFC 8594); not said when zero.
	Sunset time.Time
}

// Server is the facade's http.Handler.
type Server struct {
	store   *store
	cache   *Cache
	keys    keys
	types   *Types
	ring    *keyring.Ring
	bodies  *bodies
	larges  *larges
	limiter *limiter
	waiters *semaphore.Weighted // one unit for each request that waits
	clock   clock.Clock
	log     logr.Logger
	metrics *metrics
	sunset  time.Time
	mux     *http.ServeMux

	draining  chan struct{} // closed by Drain
	drainOnce sync.Once
}

// New returns the facade. It returns an error when an option is missing or a
// metric is registered already.
func New(o Options) (*Server, error) {
	if o.Namespace == "" || o.Cache == nil || o.Live == nil || o.Types == nil || o.Ring == nil {
		return nil, errors.New("the facade needs a namespace, a cache, a live client, types and a key ring")
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
		store: &store{live: o.Live, namespace: o.Namespace}, cache: o.Cache,
		types: o.Types, ring: o.Ring, bodies: newBodies(), larges: newLarges(), limiter: newLimiter(o.Limit),
		waiters: semaphore.NewWeighted(int64(cmp.Or(o.MaxWaiters, DefaultMaxWaiters))),
		clock: o.Clock, log: o.Log, metrics: m, sunset: o.Sunset, draining: make(chan struct{}),
	}
	s.keys = keys{store: s.store, cache: s.cache, clock: s.clock}
	s.mux = s.routes()
	return s, nil
}

// handler serves one route. It either writes a whole response and returns nil,
// or writes nothing and returns what the client and the log are to be told.
type handler func(w http.ResponseWriter, r *http.Request) error

// methods are the handlers of one path; GET serves HEAD too.
type methods map[string]handler

// deprecatedVersion is the alias of /v1 for the routes that there were before it.
const deprecatedVersion = "/v4"

// routes lists every route. Each is served with and without a trailing slash.
func (s *Server) routes() *http.ServeMux {
	processes := methods{http.MethodPost: s.createProcess, http.MethodGet: s.listProcesses}
	process := methods{http.MethodGet: s.getProcess, http.MethodDelete: s.deleteProcess}
	mux := http.NewServeMux()
	for _, version := range []string{"/v1", deprecatedVersion} {
		s.handle(mux, version+"/processes/{type}", processes)
		s.handle(mux, version+"/processes/{type}/{id}", process)
	}
	s.handle(mux, "/v1/processTypes", methods{http.MethodGet: s.getDocument(func(t *typeIndex) (document, error) { return t.processTypes() })})
	s.handle(mux, "/openapi.json", methods{http.MethodGet: s.getDocument(func(t *typeIndex) (document, error) { return t.openAPI() })})
	s.handle(mux, "/docs", methods{http.MethodGet: getDocs})
	s.handle(mux, "/docs/{asset}", methods{http.MethodGet: getDocs})
	mux.Handle("/", s.serve("", notFound))
	return mux
}

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
func (m methods) notAllowed(http.ResponseWriter, *http.Request) error {
	allowed := make([]string, 0, len(m)+1)
	for method := range m {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return methodNotAllowed.failure().with("Allow", strings.Join(allowed, ", "))
}

func notFound(http.ResponseWriter, *http.Request) error { return resourceNotFound.failure() }
