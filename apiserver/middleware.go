package apiserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
)

// exchange is what is known of one request and its response, for the log and
// the metrics.
type exchange struct {
	id        string
	route     string // a path of the table of routes; "" when none matched
	status    int    // 0 until the header is written
	errorCode string
	// clientGone is true when the client disconnected before there was an answer.
	clientGone bool
}

type exchangeKey struct{}

// ServeHTTP answers every request with JSON, logs it and counts it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.clock.Now()
	x := &exchange{id: requestID(r.Header)}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	h := w.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	alias := s.deprecate(h, r)
	defer func() {
		elapsed := s.clock.Since(start)
		s.metrics.observe(r.Method, x, elapsed, alias)
		s.log.Info("request served", "requestID", x.id, "method", r.Method, "route", x.route, "alias", alias,
			"status", x.status, "errorCode", x.errorCode, "seconds", elapsed.Seconds())
	}()
	if err := s.limiter.refuse(r, start); err != nil {
		s.serve("", func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
		return
	}
	if !plainPath(r.URL.EscapedPath()) {
		s.serve("", notFound).ServeHTTP(w, r) // the mux would redirect
		return
	}
	s.mux.ServeHTTP(w, r)
}

// serve makes an http.Handler of a handler: it turns errors and panics into
// responses.
func (s *Server) serve(route string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, _ := r.Context().Value(exchangeKey{}).(*exchange)
		x.route = route
		rec := &recorder{ResponseWriter: w, exchange: x}
		if err := guard(h, rec, r); err != nil {
			s.fail(rec, r, err)
		}
	})
}

// guard runs a handler and returns its panic as an error.
func guard(h handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(p)
		}
		err = internal(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}()
	return h(w, r)
}

// fail writes the response for an error, and logs what the client is not told.
func (s *Server) fail(w *recorder, r *http.Request, err error) {
	f := failureOf(err)
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		f.log, w.exchange.clientGone = errClientGone, true
	}
	s.note(r, f)
	if w.exchange.status != 0 {
		panic(http.ErrAbortHandler) // half a response is out: break it off
	}
	for _, name := range []string{"Content-Location", "Retry-After", "ETag", "Preference-Applied"} {
		w.Header().Del(name)
	}
	for name, value := range f.header {
		w.Header().Set(name, value)
	}
	_ = reply(w, f.status, errorBody(f)) // an error of writing is the client's going
}

// note logs what the client is not told of a failure.
func (s *Server) note(r *http.Request, f *failure) {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	x.errorCode = f.errorCode
	log := s.log.WithValues("requestID", x.id, "route", x.route)
	switch {
	case f.log == nil:
	case errors.Is(f.log, errClientGone):
		log.V(1).Info("client gone", "cause", f.log.Error())
	case f.cause == internalError:
		log.Error(f.log, "request failed")
	default:
		log.Info("request refused", "errorCode", f.errorCode, "cause", f.log.Error())
	}
}

// statusClientGone stands in the log and the metrics for a request whose client
// left before there was an answer. Nobody ever receives it: who has closed its side
// alone gets the answer.
const statusClientGone = 499

// reply writes a whole response. The error is that of a client that has gone.
func reply(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", jsonType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// replyWithoutBody writes a whole response that has no body.
func replyWithoutBody(w http.ResponseWriter, status int) error {
	w.Header().Set("Content-Type", jsonType) // clients of this API look at it whatever the status
	w.WriteHeader(status)
	return nil
}

// recorder notes the status of a response.
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

// Unwrap lets http.ResponseController reach what is beneath.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// goodID is what is taken over from a client as a request's id.
var goodID = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9._:+/=@]{0,127}$`)

// requestID is the client's X-Request-Id, or one of ours when it has none that
// can stand in a header and a log.
func requestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); goodID.MatchString(id) {
		return id
	}
	return mintID()
}

func mintID() string { return strings.ToLower(rand.Text()) }

// plainPath says whether no segment of a path is empty, "." or "..", except that
// it may end in a slash.
func plainPath(path string) bool {
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
