// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// testProcessTypes: the registered types.
func (s *suite) testProcessTypes(t *testing.T) {
	a := s.get(t, "/v1/processTypes")
	var list struct {
		ProcessTypes []struct {
			Name                      string
			Aliases                   []string
			Description               string
			InputSchema, OutputSchema map[string]any
			Limits                    struct{ InputBytes, OutputBytes int }
			LifetimeSeconds           int
		}
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, pt := range list.ProcessTypes {
		if pt.Name != typeName {
			continue
		}
		found = true
		if len(pt.Aliases) != 1 || pt.Aliases[0] != aliasName || pt.Description == "" || pt.Limits.InputBytes != 4096 || pt.Limits.OutputBytes != 4096 ||
			pt.LifetimeSeconds != 600 || pt.InputSchema["type"] != "object" || pt.OutputSchema["type"] != "object" {
			t.Errorf("it is shown as %+v", pt)
		}
	}
	if !found {
		t.Errorf("type %s is not listed: %s", typeName, a.body)
	}
	if again := s.do(t, http.MethodGet, "/v1/processTypes/", nil, header{{"If-None-Match", a.header.Get("ETag")}}); again.status != 304 {
		t.Errorf("If-None-Match: status %d", again.status)
	}
}

// testDescription: /openapi.json is valid and has the types. /docs shows it and loads nothing
// from other hosts.
func (s *suite) testDescription(t *testing.T) {
	a := s.get(t, "/openapi.json")
	if _, err := NewChecker(a.body); err != nil {
		t.Errorf("/openapi.json: %v", err)
	}
	for _, p := range []string{`"/v1/processes/contract"`, `"/v1/processes/contract/{processId}"`, `"ContractInput"`, `"ContractOutput"`} {
		if !strings.Contains(string(a.body), p+":{") {
			t.Errorf("/openapi.json does not have %s", p)
		}
	}
	if again := s.do(t, http.MethodGet, "/openapi.json", nil, header{{"If-None-Match", a.header.Get("ETag")}}); again.status != 304 {
		t.Errorf("If-None-Match: status %d", again.status)
	}
	docs := s.get(t, "/docs")
	if docs.status != 200 || !strings.HasPrefix(docs.header.Get("Content-Type"), "text/html") || !strings.Contains(docs.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("/docs: status %d, %v", docs.status, docs.header)
	}
	for quoted := range strings.SplitSeq(string(docs.body), `"`) {
		if strings.Contains(quoted, "://") {
			t.Errorf("/docs loads from another host: %s", quoted)
		}
		if !strings.HasPrefix(quoted, "/docs/") {
			continue
		}
		request := s.request(t, s.URL, http.MethodGet, quoted, nil, nil)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("%s: status %d", quoted, response.StatusCode)
		}
	}
}
