// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agentserver is the HTTP side of a collector: it serves agentapi's
// endpoints, with all the bounds that a request needs, for any implementation of
// Collector. It imports nothing of Kubernetes.
package agentserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/budget"
	"procman.dev/procman/internal/strictjson"
)

// Collector decides on the requests of agents. Its errors are answered as
// agentapi.WriteError says.
type Collector interface {
	// Attempt returns the attempt that the agent with this token runs.
	Attempt(ctx context.Context, token string) (Attempt, error)
}

// Attempt is one attempt of a process, while it is the one that counts.
type Attempt interface {
	// ID differs between attempts that run at the same time.
	ID() string
	// Input returns what the agent needs to start the worker, or a
	// *agentapi.TooEarly. The caller closes its content.
	Input(ctx context.Context) (agentapi.Input, error)
	// Result accepts a result that agentapi.Result.Check accepts. Its Output is not
	// checked, and its Attempt is the agent's own claim.
	Result(ctx context.Context, r agentapi.Result) error
	// Progress accepts a valid report of progress, or returns agentapi.ErrTooSoon for
	// one that is not due.
	Progress(ctx context.Context, p agentapi.Progress) error
}

// Bounds of the bodies of requests.
const (
	// maxResultsBytes is the memory of all results that are processed at a time. It is
	// enough for the largest one. A result takes resultCopies times its size, and what it
	// takes to parse it.
	maxResultsBytes  = 96 << 20
	resultCopies     = 4
	maxProgressBytes = 1 << 10
	// maxTokenBytes is far above the size of any service account token.
	maxTokenBytes = 16 << 10
)

// errBusy: another result of the attempt is being processed.
var errBusy = errors.New("another result of this attempt is being processed")

// Handler is the http.Handler of a collector.
type Handler struct {
	collector Collector
	refused   func(r *http.Request, status int, cause error)
	mux       *http.ServeMux
	// results is the memory of the results that are being processed, and busy has the
	// IDs of their attempts.
	results *budget.Budget
	busy    sync.Map
}

// New returns the handler of a collector. refused is called for every request that
// is answered with an error; the agent gets only the status.
func New(c Collector, refused func(r *http.Request, status int, cause error)) *Handler {
	h := &Handler{collector: c, refused: refused, mux: http.NewServeMux(), results: budget.New(maxResultsBytes)}
	h.handle("GET "+agentapi.InputPath, h.input)
	h.handle("PUT "+agentapi.ResultPath, h.result)
	h.handle("PUT "+agentapi.ProgressPath, h.progress)
	return h
}

// NewServer returns an HTTP server for the handler, with all its bounds set.
func NewServer(h *Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // a result that is written to the store can take half of it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

// ServeHTTP serves agentapi's endpoints.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(agentapi.HeaderCollector, "1")
	h.mux.ServeHTTP(w, r)
}

// handle registers an endpoint that is for agents with a token.
func (h *Handler) handle(pattern string, endpoint func(Attempt, http.ResponseWriter, *http.Request) error) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		attempt, err := h.attempt(r)
		if err == nil {
			err = endpoint(attempt, w, r)
		}
		if err != nil {
			h.refused(r, agentapi.WriteError(w, err), err)
		}
	})
}

func (h *Handler) attempt(r *http.Request) (Attempt, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(token) > maxTokenBytes {
		return nil, fmt.Errorf("%w: the request has no bearer token", agentapi.ErrUnauthenticated)
	}
	return h.collector.Attempt(r.Context(), token)
}

func (h *Handler) input(a Attempt, w http.ResponseWriter, r *http.Request) error {
	in, err := a.Input(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	defer func() { _ = in.Content.Close() }()
	in.SetHeader(w.Header())
	w.Header().Set("Content-Length", strconv.FormatInt(in.Bytes, 10))
	source := &reader{content: in.Content}
	_, _ = io.Copy(w, source) // an agent that is gone asks again, or never
	if source.err != nil {
		h.refused(r, http.StatusOK, source.err)
		panic(http.ErrAbortHandler) // the agent must not take a part for the whole
	}
	return nil
}

// reader keeps the error of a reader, so that it differs from that of a writer.
type reader struct {
	content io.Reader
	err     error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.content.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func (h *Handler) result(a Attempt, _ http.ResponseWriter, r *http.Request) error {
	memory, err := h.reserve(a.ID(), r.ContentLength)
	if err != nil {
		return err
	}
	defer memory.Release()
	defer h.busy.Delete(a.ID())
	body, err := read(r, agentapi.MaxPayloadBytes)
	if err != nil {
		return err
	}
	if err := memory.Grow(strictjson.ParseBytes(body)); err != nil {
		return err
	}
	result, err := agentapi.ReadResult(r.Header, string(body))
	if err != nil {
		return fmt.Errorf("%w: %w", agentapi.ErrBadRequest, err)
	}
	if err := result.Check(); err != nil {
		return fmt.Errorf("%w: %w", agentapi.ErrBadRequest, err)
	}
	return a.Result(r.Context(), result)
}

func (h *Handler) progress(a Attempt, _ http.ResponseWriter, r *http.Request) error {
	body, err := read(r, maxProgressBytes)
	if err != nil {
		return err
	}
	var progress agentapi.Progress
	if err := json.Unmarshal(body, &progress); err != nil {
		return fmt.Errorf("%w: %w", agentapi.ErrBadRequest, err)
	}
	if err := progress.Check(); err != nil {
		return fmt.Errorf("%w: %w", agentapi.ErrBadRequest, err)
	}
	return a.Progress(r.Context(), progress)
}

// reserve takes memory for a result of the attempt with this ID. One result of an attempt
// is processed at a time: anyone with a worker's token could otherwise take all the memory
// there is. The caller removes the ID from busy.
func (h *Handler) reserve(id string, bytes int64) (*budget.Reservation, error) {
	if _, busy := h.busy.LoadOrStore(id, nil); busy {
		return nil, errBusy
	}
	memory, err := h.results.TryAcquire(resultCopies * min(max(bytes, 0), agentapi.MaxPayloadBytes))
	if err != nil {
		h.busy.Delete(id)
		return nil, err
	}
	return memory, nil
}

// read reads a body of at most limit bytes, whose length is known.
func read(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > limit {
		return nil, fmt.Errorf("%w: Content-Length is %d, expected 0 to %d", agentapi.ErrBadRequest, r.ContentLength, limit)
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, fmt.Errorf("read the body: %w", err) // too slow, or cut off: worth another try
	}
	return body, nil
}
