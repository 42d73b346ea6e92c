// Package collector serves the agents: they fetch their process's input from it
// and deliver progress and result to it. It runs on every replica of the
// operator, leader or not.
package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/payload"
)

// maxResultBytes bounds the body of a result: the largest output, escaped as a
// JSON string at its worst, and the largest details.
const maxResultBytes = 8 << 20

// Options are what a collector needs.
type Options struct {
	// Client reads from the operator's caches and writes; Live reads past them.
	Client client.Client
	Live   client.Reader
	Clock  clock.PassiveClock
	// Writer commits what is delivered.
	Writer *terminal.Writer
	// Namespace is where Processes, Jobs and pods live.
	Namespace string
	// ServiceAccount, in that namespace, is the workers' own.
	ServiceAccount string
}

// Collector is the HTTP handler.
type Collector struct {
	authenticator authenticator
	assignments   assignments
	client        client.Client
	live          client.Reader
	writer        *terminal.Writer
	clock         clock.PassiveClock
	mux           *http.ServeMux
	results       *results
}

// New makes a collector.
func New(o Options) *Collector {
	c := &Collector{
		authenticator: authenticator{
			client:   o.Client,
			clock:    o.Clock,
			username: "system:serviceaccount:" + o.Namespace + ":" + o.ServiceAccount,
		},
		assignments: assignments{cached: o.Client, live: o.Live, namespace: o.Namespace},
		client:      o.Client,
		live:        o.Live,
		writer:      o.Writer,
		clock:       o.Clock,
		mux:         http.NewServeMux(),
		results:     newResults(),
	}
	c.mux.HandleFunc("GET "+agentapi.InputPath, c.assigned(c.input))
	c.mux.HandleFunc("PUT "+agentapi.ResultPath, c.assigned(c.result))
	c.mux.HandleFunc("PUT "+agentapi.ProgressPath, c.assigned(c.progress))
	return c
}

// ServeHTTP serves agentapi's endpoints.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// errBadRequest: the agent sent what no agent sends.
var errBadRequest = errors.New("bad request")

// assigned wraps a handler with what every request needs: who is asking, and
// for which process. The asker learns the status code and no more.
func (c *Collector) assigned(handle func(context.Context, *assignment, http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		id, err := c.authenticator.authenticate(ctx, r)
		if err == nil {
			var a *assignment
			if a, err = c.assignments.find(ctx, id); err == nil {
				err = handle(ctx, a, w, r)
			}
		}
		var status int
		switch {
		case err == nil:
			return
		case errors.Is(err, errUnauthenticated):
			status = http.StatusUnauthorized
		case errors.Is(err, errNotWanted), apierrors.IsNotFound(err):
			status = http.StatusConflict
		case errors.Is(err, errSuperseded):
			status = http.StatusGone
		case errors.Is(err, errBadRequest):
			status = http.StatusBadRequest
		default:
			status = http.StatusServiceUnavailable
		}
		logf.FromContext(ctx).WithName("collector").Info("request refused", "path", r.URL.Path, "pod", id.podName, "status", status, "cause", err.Error())
		http.Error(w, http.StatusText(status), status)
	}
}

// input answers with the process's input, byte for byte, once the attempt is due.
func (c *Collector) input(ctx context.Context, a *assignment, w http.ResponseWriter, _ *http.Request) error {
	if wait := a.due.Sub(c.clock.Now()); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		http.Error(w, "the pause before this attempt is not over", http.StatusTooEarly)
		return nil
	}
	input, err := payload.Input(ctx, c.live, a.process)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(agentapi.HeaderAttempt, strconv.Itoa(int(a.attempt)))
	_, _ = io.WriteString(w, input)
	return nil
}

// result commits what the attempt came to, unless a later attempt may do
// better.
func (c *Collector) result(ctx context.Context, a *assignment, w http.ResponseWriter, r *http.Request) error {
	leave, err := c.results.enter(a.pod, min(max(r.ContentLength, 0), maxResultBytes))
	if err != nil {
		return err // 503: the agent tries again
	}
	defer leave()
	var result agentapi.Result
	if err := decode(r, maxResultBytes, &result); err != nil {
		return err
	}
	if err := check(&result); err != nil {
		return err
	}
	result.Attempt = a.attempt
	if result.Retry && (result.Interrupted || !a.last) {
		return nil
	}
	return c.writer.Commit(ctx, a.process, result, a.job.Name)
}

// check says whether a result is one: whoever holds a worker's token may have
// made it up.
func check(r *agentapi.Result) error {
	if err := r.Check(); err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	return nil
}

// progress shows how far the worker says it is.
func (c *Collector) progress(ctx context.Context, a *assignment, w http.ResponseWriter, r *http.Request) error {
	var progress agentapi.Progress
	if err := decode(r, 1<<10, &progress); err != nil {
		return err
	}
	if progress.PercentComplete < 0 || progress.PercentComplete > 100 {
		return fmt.Errorf("%w: percentComplete %d", errBadRequest, progress.PercentComplete)
	}
	// No lock is needed: the schema keeps a finished process from changing, and
	// the UID keeps another one of that name out of it.
	patch := fmt.Sprintf(`{"metadata":{"uid":%q},"status":{"percentComplete":%d}}`, a.process.UID, progress.PercentComplete)
	target := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: a.process.Name, Namespace: a.process.Namespace}}
	err := c.client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, []byte(patch)))
	if apierrors.IsInvalid(err) || apierrors.IsConflict(err) {
		return fmt.Errorf("%w: process %s is over", errNotWanted, a.process.Name)
	}
	return err
}

// decode reads a JSON body of at most limit bytes, which says how long it is. It
// takes no more memory than that, and what is decoded.
func decode(r *http.Request, limit int64, into any) error {
	if r.ContentLength < 0 || r.ContentLength > limit {
		return fmt.Errorf("%w: a body of %d bytes, at most %d", errBadRequest, r.ContentLength, limit)
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return fmt.Errorf("read the body: %w", err) // too slow, or broken off: worth another try
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	return nil
}

// NewServer returns the HTTP server for a collector, all its bounds set.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}
