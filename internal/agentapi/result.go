// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// Result is what one attempt produced.
type Result struct {
	// Attempt is the number of the attempt, from 1; 0 when no worker was started.
	Attempt int32 `json:"attempt,omitempty"`
	// StartTime is when the worker's command was started.
	StartTime time.Time `json:"startTime,omitzero"`
	// Output is the text of the worker's JSON object; empty when the attempt failed.
	Output string `json:"output,omitempty"`
	// ErrorCode is set exactly when the attempt failed.
	ErrorCode string `json:"errorCode,omitempty"`
	// ErrorDetails is the text of a JSON object, or empty.
	ErrorDetails string `json:"errorDetails,omitempty"`
	// Retry: another attempt may succeed. The worker crashed.
	Retry bool `json:"retry,omitempty"`
	// Interrupted: the worker was stopped from outside before it was done, so the
	// result says nothing about its work. Comes with Retry.
	Interrupted bool `json:"interrupted,omitempty"`
	// PercentComplete is the worker's last progress, between 0 and 100; nil if it has
	// none. It may be newer than the last report of progress.
	PercentComplete *int32 `json:"percentComplete,omitempty"`
}

// headerResult is a header of PUT ResultPath: the Result as JSON, except Output or
// ErrorDetails, which is the body.
const headerResult = "Procman-Result"

// SetHeader writes all of the result except its body to the header of a request.
func (r Result) SetHeader(h http.Header) {
	r.Output, r.ErrorDetails = "", ""
	text, _ := json.Marshal(r) // strings, numbers and a time always encode
	h.Set(headerResult, string(text))
}

// Body returns the output of a result, or the details of its error.
func (r *Result) Body() string {
	if r.ErrorCode != "" {
		return r.ErrorDetails
	}
	return r.Output
}

// ReadResult reads a request of PUT ResultPath. It returns an error if headerResult is
// absent or malformed.
func ReadResult(h http.Header, body string) (Result, error) {
	var r Result
	if err := json.Unmarshal([]byte(h.Get(headerResult)), &r); err != nil {
		return Result{}, fmt.Errorf("header %s: %w", headerResult, err)
	}
	r.Output, r.ErrorDetails = body, ""
	if r.ErrorCode != "" {
		r.Output, r.ErrorDetails = "", body
	}
	return r, nil
}

// Failure returns a failed result that is final. details is an object of strings,
// numbers, and maps and lists of them: what a person needs to act on the error.
func Failure(code string, details any) Result {
	text, _ := json.Marshal(details) // such details always encode
	return Result{ErrorCode: code, ErrorDetails: string(text)}
}

// Failed returns the final failure that the same attempt becomes: with a code and
// details as in Failure, and the attempt's number, start and progress.
func (r *Result) Failed(code string, details any) Result {
	failed := Failure(code, details)
	failed.Attempt, failed.StartTime, failed.PercentComplete = r.Attempt, r.StartTime, r.PercentComplete
	return failed
}

// Complete reports whether the attempt produced an output.
func (r *Result) Complete() bool { return r.ErrorCode == "" && r.Output != "" }

// Final reports whether the result is that of the process: no other attempt follows. last
// is whether the attempt is the last one, if it counts.
func (r *Result) Final(last bool) bool { return !r.Retry || last && !r.Interrupted }

// Check returns an error unless the result has an output, or else a valid errorCode
// with details that are a strict JSON object. A progress must be in its range.
// Results have to be checked where they are received: the sender may have stolen a
// worker's token, and a worker can write the termination message. An output is checked
// when its result is committed, by the rules of its type.
func (r *Result) Check() error {
	switch {
	case r.Complete():
	case !errorcode.Valid(r.ErrorCode):
		return errors.New("neither an output nor an errorCode")
	case len(r.ErrorDetails) > MaxErrorDetailsBytes:
		return fmt.Errorf("errorDetails: %d bytes, at most %d", len(r.ErrorDetails), MaxErrorDetailsBytes)
	case r.ErrorDetails != "":
		if err := strictjson.CheckObject([]byte(r.ErrorDetails)); err != nil {
			return fmt.Errorf("errorDetails: %w", err)
		}
	}
	if r.PercentComplete != nil {
		return Progress{PercentComplete: *r.PercentComplete}.Check()
	}
	return nil
}
