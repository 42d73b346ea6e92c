// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// exchange is what the log and the metrics report about one request.
type exchange struct {
	id         string
	route      string // a path of the table of routes; "" if none matched
	deprecated bool   // the request came by the deprecated alias
	status     int    // 0 until the header is written
	errorCode  string
	clientGone bool // the client disconnected before there was an answer
}

type exchangeKey struct{}

// exchangeOf returns the exchange of a request that has passed observe.
func exchangeOf(r *http.Request) *exchange {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return &exchange{}
	}
	return x
}

// observe gives a request its id, logs it and counts it.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.clock.Now()
		x := &exchange{id: requestID(r.Header)}
		w.Header().Set("X-Request-Id", x.id)
		defer func() {
			elapsed := s.clock.Since(start)
			s.metrics.observe(r.Method, x, elapsed)
			s.log.Info("request served", "requestID", x.id, "method", r.Method, "route", x.route, "alias", x.deprecated,
				"status", x.status, "errorCode", x.errorCode, "seconds", elapsed.Seconds())
		}()
		next.ServeHTTP(&recorder{w, x}, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	})
}

// recorder records the status of a response.
type recorder struct {
	http.ResponseWriter
	exchange *exchange
}

func (w *recorder) WriteHeader(status int) {
	w.exchange.status = status
	if w.exchange.clientGone {
		w.exchange.status = statusClientGone
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
			exchangeOf(r).deprecated = true
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

// refuseUncleanPaths answers 404 to paths that ServeMux would redirect: those with a
// segment that is empty, "." or "..". A slash at the end is allowed.
func (s *Server) refuseUncleanPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !cleanPath(r.URL.EscapedPath()) {
			s.fail(w, r, resourceNotFound.problem())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func cleanPath(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		if segment == "" && rest != "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// recovered runs a handler and returns its panic as an error.
func recovered(h handler, w http.ResponseWriter, r *request) (err error) {
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
	return h(w, r)
}
