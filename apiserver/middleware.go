// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// requestLog is what the log and the metrics report about one request.
type requestLog struct {
	id         string
	route      string // a path of the table of routes; "" if none matched
	deprecated bool   // the request came by the deprecated alias
	status     int    // 0 until the header is written
	errorCode  string
	clientGone bool // the client disconnected before there was an answer
}

type requestLogKey struct{}

// logOf returns the requestLog of a request that has passed logAndCount.
func logOf(r *http.Request) *requestLog {
	l, ok := r.Context().Value(requestLogKey{}).(*requestLog)
	if !ok {
		return &requestLog{}
	}
	return l
}

// logAndCount gives a request its id, logs it and counts it.
func (s *Server) logAndCount(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.clock.Now()
		l := &requestLog{id: requestID(r.Header)}
		w.Header().Set("X-Request-Id", l.id)
		defer func() {
			elapsed := s.clock.Since(start)
			s.metrics.count(r.Method, l, elapsed)
			s.log.Info("request served", "requestID", l.id, "method", r.Method, "route", l.route, "alias", l.deprecated,
				"status", l.status, "errorCode", l.errorCode, "seconds", elapsed.Seconds())
		}()
		next.ServeHTTP(&recorder{w, l}, r.WithContext(context.WithValue(r.Context(), requestLogKey{}, l)))
	})
}

// recorder records the status of a response.
type recorder struct {
	http.ResponseWriter
	log *requestLog
}

func (w *recorder) WriteHeader(status int) {
	w.log.status = status
	if w.log.clientGone {
		w.log.status = statusClientGone
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// clientRequestID matches the request ids that are taken over from a client.
var clientRequestID = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9._:+/=@]{0,127}$`)

// requestID returns the client's X-Request-Id if it matches, and a new one otherwise.
func requestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); clientRequestID.MatchString(id) {
		return id
	}
	return strings.ToLower(rand.Text())
}

// setCommonHeaders sets the headers that every response has.
func setCommonHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// deprecatedSince is when /v4 became deprecated. It is older than /v1; the clients of
// that time still use it.
var deprecatedSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// markDeprecated adds to responses of the deprecated alias since when it is deprecated,
// its successor, and its end (RFC 9745, RFC 8594).
func (s *Server) markDeprecated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped, path, ok := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
		version, err := url.PathUnescape(escaped) // ServeMux does the same
		if ok && err == nil && "/"+version == deprecatedVersion {
			logOf(r).deprecated = true
			h := w.Header()
			h.Set("Deprecation", "@"+strconv.FormatInt(deprecatedSince.Unix(), 10))
			h.Set("Link", "</v1/"+path+`>; rel="successor-version"`)
			if !s.sunset.IsZero() {
				h.Set("Sunset", s.sunset.UTC().Format(http.TimeFormat))
			}
		}
		next.ServeHTTP(w, r)
	})
}

// slashes matches several slashes in a row.
var slashes = regexp.MustCompile("//+")

// mergeSlashes treats several slashes in a row as one (docs/contract.md, section 4).
func mergeSlashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if escaped := r.URL.EscapedPath(); strings.Contains(escaped, "//") {
			merged := slashes.ReplaceAllLiteralString(escaped, "/")
			if path, err := url.PathUnescape(merged); err == nil {
				r = r.Clone(r.Context())
				r.URL.Path, r.URL.RawPath = path, merged
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refuseDots answers 404 to paths with a segment that is "." or "..", which ServeMux would
// redirect, and to what is not a path.
func (s *Server) refuseDots(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		segments := strings.Split(r.URL.EscapedPath(), "/")
		if segments[0] != "" || slices.Contains(segments, ".") || slices.Contains(segments, "..") {
			s.fail(w, r, resourceNotFound.problem())
			return
		}
		next.ServeHTTP(w, r)
	})
}

const (
	// maxDrainBytes and drainTime bound what is read of a body after its answer.
	maxDrainBytes = 64 << 20
	drainTime     = 30 * time.Second
)

// drainBody reads the rest of a body after its request has been answered. Many clients
// read the answer only when they have sent everything, such as Python's urllib. If the
// server closed the connection first, they would report a broken pipe and not a 413.
func drainBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.ContentLength == 0 { // HTTP/2 tells the client to stop sending
			next.ServeHTTP(w, r)
			return
		}
		conn := http.NewResponseController(w)
		_ = conn.EnableFullDuplex() // so that the body can be read after the answer
		next.ServeHTTP(w, r)
		if conn.Flush() == nil && conn.SetReadDeadline(time.Now().Add(drainTime)) == nil {
			_, _ = io.CopyN(io.Discard, r.Body, maxDrainBytes)
		}
	})
}

// recovered runs a function and returns its panic as an error.
func recovered(run func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(p)
		}
		err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}()
	return run()
}
