// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/store"
)

// cause is a status with its errorCode.
type cause struct {
	status    int
	errorCode string
}

// The table of all errors over HTTP (docs/contract.md, section 1).
var (
	missingInput         = cause{480, errorcode.MissingInput}
	unrecognizedInput    = cause{480, errorcode.UnrecognizedInput}
	invalidInput         = cause{480, errorcode.InvalidInput}
	inputTooLarge        = cause{http.StatusRequestEntityTooLarge, errorcode.InputTooLarge}
	unsupportedMediaType = cause{http.StatusUnsupportedMediaType, errorcode.UnsupportedMediaType}
	methodNotAllowed     = cause{http.StatusMethodNotAllowed, errorcode.MethodNotAllowed}
	tooManyRequests      = cause{http.StatusTooManyRequests, errorcode.TooManyRequests}
	idempotencyKeyReused = cause{http.StatusUnprocessableEntity, errorcode.IdempotencyKeyReused}
	resourceNotFound     = cause{http.StatusNotFound, errorcode.ResourceNotFound}
	resourceExpired      = cause{http.StatusGone, errorcode.ResourceExpired}
	internalError        = cause{580, errorcode.InternalError}
)

// problem is an error response: a part for the client and a part for the log.
type problem struct {
	cause
	details schema.Details
	header  map[string]string
	log     error // nil if the client gets everything
}

func (p *problem) Error() string {
	if p.log != nil {
		return fmt.Sprintf("%s: %v", p.errorCode, p.log)
	}
	return p.errorCode
}

func (p *problem) Unwrap() error { return p.log }

func (c cause) problem() *problem { return &problem{cause: c} }

// at returns a problem with the place and the expectation.
func (c cause) at(details schema.Details) *problem { return &problem{cause: c, details: details} }

// with adds a header to the response.
func (p *problem) with(name, value string) *problem {
	if p.header == nil {
		p.header = map[string]string{}
	}
	p.header[name] = value
	return p
}

// because adds what only the log gets.
func (p *problem) because(err error) *problem {
	p.log = err
	return p
}

// busy returns the problem of a request that can succeed after a time.
func busy(after time.Duration) *problem {
	return tooManyRequests.problem().with("Retry-After", strconv.Itoa(int(after/time.Second)))
}

// violated returns the problem of an input that its type does not allow.
func violated(v *rules.Violation) *problem {
	if v.Code == errorcode.InputTooLarge {
		return inputTooLarge.at(v.Details).with("Connection", "close") // so that the rest is not read
	}
	return cause{480, v.Code}.at(v.Details)
}

// storeRetryAfter is how long, in seconds, a client waits while the store does not answer.
const storeRetryAfter = "5"

// problemOf returns the response for an error. It is the one place where the errors of
// other packages are mapped to HTTP. An error that it does not know is our fault.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*processes.BusyError](err); ok {
		problem := busy(e.RetryAfter).because(err)
		problem.details.Message = e.Message
		return problem
	}
	if e, ok := errors.AsType[*catalog.UnusableError](err); ok {
		expected, err := json.Marshal(map[string][]string{"enum": e.Names})
		if err != nil {
			return internalError.problem().because(fmt.Errorf("list the process types: %w", err))
		}
		return invalidInput.at(schema.Details{In: "path", At: "processType", Expected: expected, Message: e.Message})
	}
	if v, ok := errors.AsType[*rules.Violation](err); ok {
		return violated(v)
	}
	if e, ok := errors.AsType[*processes.StoreError](err); ok && !errors.Is(e, store.ErrNotFound) && !errors.Is(e, store.ErrDamaged) {
		return internalError.problem().with("Retry-After", storeRetryAfter).because(err)
	}
	switch {
	case errors.Is(err, processes.ErrNotFound):
		return resourceNotFound.problem()
	case errors.Is(err, processes.ErrExpired):
		return resourceExpired.problem()
	case errors.Is(err, processes.ErrKeyReused):
		return idempotencyKeyReused.at(schema.Details{In: "header", At: keyHeader})
	default:
		return internalError.problem().because(err)
	}
}

// errClientGone: the client disconnected, or reads too slowly.
var errClientGone = errors.New("the client disconnected or reads too slowly")

// statusClientGone is the status, in the log and in the metrics, of a request whose
// client disconnected before there was an answer. No client gets it.
const statusClientGone = 499

// fail writes the response for an error, and logs the part for the log.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, l := problemOf(err), logOf(r)
	if errors.Is(err, errClientGone) || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		l.clientGone = true
	}
	s.note(r, p)
	if l.status != 0 {
		panic(http.ErrAbortHandler) // a part of a response is written: the client must not take it for a whole
	}
	h := w.Header()
	for _, name := range []string{"Content-Location", "Retry-After", "ETag", "Preference-Applied"} {
		h.Del(name)
	}
	for name, value := range p.header {
		h.Set(name, value)
	}
	reply(w, p.status, problemBody(p))
}

// note records a problem in the log.
func (s *Server) note(r *http.Request, p *problem) {
	l := logOf(r)
	if !l.clientGone { // nobody gets the errorCode
		l.errorCode = p.errorCode
	}
	log := s.log.WithValues("requestID", l.id, "route", l.route)
	switch {
	case p.log == nil:
	case l.clientGone:
		log.V(1).Info("client disconnected", "cause", p.log.Error())
	case errors.Is(p.log, store.ErrDamaged):
		log.Error(p.log, "a payload in the store is damaged")
	case p.cause == internalError:
		log.Error(p.log, "request failed")
	default:
		log.Info("request refused", "errorCode", p.errorCode, "cause", p.log.Error())
	}
}
