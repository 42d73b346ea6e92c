package apiserver

import (
	"errors"
	"fmt"
	"net/http"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/schema"
)

// cause is why a request is not answered with what it asked for, as the client
// gets to see it.
type cause struct {
	status    int
	errorCode string
}

// The table of all errors over HTTP (CONTRACT.md, section 1).
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

// What ends a request without an answer to it.
var (
	errClientGone   = errors.New("the client is gone")
	errUnverifiable = errors.New("the id keys could not be refreshed, so that an id that they do not prove may be one of ours")
)

// violations maps what a schema finds to the table.
var violations = map[string]cause{
	errorcode.MissingInput:      missingInput,
	errorcode.UnrecognizedInput: unrecognizedInput,
	errorcode.InvalidInput:      invalidInput,
}

// failure is the error that handlers return: what the client is told, and what
// only the log is told.
type failure struct {
	cause
	details schema.Details
	header  map[string]string
	log     error // nil when the client is told everything
	refused bool  // a create was refused, and no other call of it may have succeeded
}

func (f *failure) Error() string {
	if f.log != nil {
		return fmt.Sprintf("%s: %v", f.errorCode, f.log)
	}
	return f.errorCode
}

func (f *failure) Unwrap() error { return f.log }

func (c cause) failure() *failure { return &failure{cause: c} }

// at says where the trouble is.
func (c cause) at(details schema.Details) *failure { return &failure{cause: c, details: details} }

// with adds a header to the response.
func (f *failure) with(name, value string) *failure {
	if f.header == nil {
		f.header = map[string]string{}
	}
	f.header[name] = value
	return f
}

// internal is the failure of something of ours. Err goes to the log alone.
func internal(err error) *failure { return &failure{cause: internalError, log: err} }

// violated is the failure of an input that does not fit its schema.
func violated(v *schema.Violation) *failure {
	c, ok := violations[v.Code]
	if !ok {
		return internal(fmt.Errorf("a schema finds %q, which is not in the table", v.Code))
	}
	details := v.Details
	details.In = "body"
	return c.at(details)
}

// failureOf is err as a failure; what nobody has classified is ours.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return internal(err)
}
