// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"procman.dev/procman/apiserver"
)

// The checker accepts a response of the contract and finds what is wrong with others.
func TestChecker(t *testing.T) {
	checker, err := NewChecker(apiserver.Contract)
	if err != nil {
		t.Fatal(err)
	}
	const process = `{"processId":"a","state":"processing","expirationDateTime":"2026-01-02T03:04:05.000Z","createdDateTime":"2026-01-02T03:03:05.000Z","input":{}}`
	for name, tc := range map[string]struct {
		method, path string
		status       int
		header       http.Header
		body         string
		wrong        string // a part of the error; "" if the response is right
	}{
		"process":                  {"GET", "/v1/processes/echo/a", 200, nil, process, ""},
		"trailing slash":           {"GET", "/v1/processes/echo/a/", 200, nil, process, ""},
		"unknown member":           {"GET", "/v1/processes/echo/a", 200, nil, strings.Replace(process, "{", `{"x":1,`, 1), "additional properties"},
		"complete without output":  {"GET", "/v1/processes/echo/a", 200, nil, strings.Replace(process, "processing", "complete", 1), "missing property 'output'"},
		"status is not described":  {"GET", "/v1/processes/echo/a", 418, nil, `{}`, "418"},
		"unknown path":             {"GET", "/none", 404, nil, `{"errorCode":"ResourceNotFound"}`, ""},
		"unknown path, wrong body": {"GET", "/none", 404, nil, `{"errorCode":"Other"}`, "NotFound"},
		"unknown path, 200":        {"GET", "/none", 200, nil, `{}`, "want 404"},
		"wrong method":             {"PUT", "/v1/processes/echo", 405, http.Header{"Allow": {"GET"}}, `{"errorCode":"MethodNotAllowed"}`, ""},
		"wrong method, no Allow":   {"PUT", "/v1/processes/echo", 405, nil, `{"errorCode":"MethodNotAllowed"}`, "Allow"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Request-Id", "1")
			maps.Copy(w.Header(), tc.header)
			w.WriteHeader(tc.status)
			err := checker.Check(httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, nil), w.Result(), []byte(tc.body)) //nolint:bodyclose // a recorder's
			if tc.wrong == "" && err != nil || tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)) {
				t.Errorf("the error is %v, want one with %q", err, tc.wrong)
			}
		})
	}
	if _, err := NewChecker([]byte(`{"openapi":"3.1.0","paths":{}}`)); err == nil {
		t.Error("a description without info is accepted")
	}
}
