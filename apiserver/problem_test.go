// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/schema"
)

// Every error of another package becomes the response of the table. Wrapping does not
// change it, and the client gets no text of an internal error.
func TestProblemOf(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		status int
		body   string
		header map[string]string
		log    string // what only the log gets
	}{
		"not found": {processes.ErrNotFound, 404, `{"errorCode":"ResourceNotFound"}`, nil, ""},
		"expired":   {processes.ErrExpired, 410, `{"errorCode":"ResourceExpired"}`, nil, ""},
		"key reused": {processes.ErrKeyReused, 422,
			`{"errorCode":"IdempotencyKeyReused","errorDetails":{"in":"header","at":"Idempotency-Key"}}`, nil, ""},
		"busy": {&processes.BusyError{RetryAfter: 3 * time.Second, Err: errors.New("quota at etcd-0")}, 429,
			`{"errorCode":"TooManyRequests"}`, map[string]string{"Retry-After": "3"}, "quota at etcd-0"},
		"unknown type": {&catalog.UnusableError{Names: []string{}}, 480,
			`{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":[]}}}`, nil, ""},
		"unusable type": {&catalog.UnusableError{Names: []string{"echo"}, Message: "ocr is not accepted"}, 480,
			`{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":["echo"]},"message":"ocr is not accepted"}}`, nil, ""},
		"violation": {&rules.Violation{Code: errorcode.MissingInput, Details: schema.Details{In: "body", At: "input.a"}}, 480,
			`{"errorCode":"MissingInput","errorDetails":{"in":"body","at":"input.a"}}`, nil, ""},
		"too large": {rules.InputTooLarge("input", 7), 413,
			`{"errorCode":"InputTooLarge","errorDetails":{"in":"body","at":"input","expected":{"maxBytes":7}}}`, map[string]string{"Connection": "close"}, ""},
		"text of HTML": {&rules.Violation{Code: errorcode.InvalidInput, Details: schema.Details{In: "body", Expected: json.RawMessage(`{"pattern":"<&>"}`)}}, 480,
			`{"errorCode":"InvalidInput","errorDetails":{"in":"body","expected":{"pattern":"<&>"}}}`, nil, ""},
		"our own":   {methodNotAllowed.problem().with("Allow", "GET"), 405, `{"errorCode":"MethodNotAllowed"}`, map[string]string{"Allow": "GET"}, ""},
		"any other": {errors.New("etcd-0 is down"), 580, `{"errorCode":"InternalError"}`, nil, "etcd-0 is down"},
		"timeout":   {context.DeadlineExceeded, 580, `{"errorCode":"InternalError"}`, nil, "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			got := problemOf(fmt.Errorf("do something: %w", tc.err))
			if body := string(problemBody(got)); got.status != tc.status || body != tc.body {
				t.Errorf("status %d: %s\nwant %d: %s", got.status, body, tc.status, tc.body)
			}
			if diff := cmp.Diff(tc.header, got.header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if (got.log != nil) != (tc.log != "") || tc.log != "" && !strings.Contains(got.log.Error(), tc.log) {
				t.Errorf("the log gets %v, want %q", got.log, tc.log)
			}
		})
	}
}
