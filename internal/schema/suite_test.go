// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

// differences are the tests of the suite that we do not pass, each with the reason.
// A key is a file, a group of tests in it, or one test.
var differences = map[string]string{
	"dynamicRef": "$dynamicRef is refused: what a reference means would depend on how it was reached",
	"unevaluatedItems: unevaluatedItems with $dynamicRef":           "as above",
	"unevaluatedProperties: unevaluatedProperties with $dynamicRef": "as above",
	"refRemote": "references lead to places within the schema: the operator loads nothing",
	"ref: remote ref, containing refs itself":                                           "as above",
	"defs: validate definition against metaschema":                                      "as above",
	"const: nul characters in strings":                                                  "U+0000 is refused in all JSON that we read (docs/contract.md, section 1)",
	"enum: nul characters in strings":                                                   "as above",
	"vocabulary: schema that uses custom metaschema with with no validation vocabulary": "$schema is ignored: every schema is read as 2020-12",
}

// The required tests of JSON Schema's own suite. Objects are open in it.
func TestSuite(t *testing.T) {
	files, err := filepath.Glob("testdata/suite/draft2020-12/*.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("the suite has %d files, %v", len(files), err)
	}
	used := map[string]bool{}
	differs := func(name string) bool {
		_, ok := differences[name]
		used[name] = used[name] || ok
		return ok
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var groups []struct {
			Description string
			Schema      json.RawMessage
			Tests       []struct {
				Description string
				Data        json.RawMessage
				Valid       bool
			}
		}
		if err := json.Unmarshal(text, &groups); err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			whole := name + ": " + group.Description
			if differs(name) || differs(whole) {
				continue
			}
			s, err := schema.CompileOpen(group.Schema)
			if err != nil {
				t.Errorf("%s\nCompile: %v", whole, err)
				continue
			}
			for _, test := range group.Tests {
				one := whole + ": " + test.Description
				if differs(one) {
					continue
				}
				wrapped, err := strictjson.Parse([]byte(`{"v":` + string(test.Data) + `}`))
				if err != nil {
					t.Errorf("%s\nParse: %v", one, err)
					continue
				}
				v, _ := wrapped.Member("v")
				if violation := s.Validate(v); (violation == nil) != test.Valid {
					t.Errorf("%s\nvalid: %t; violation: %+v", one, test.Valid, violation)
				}
			}
		}
	}
	for name := range differences {
		if !used[name] {
			t.Errorf("the difference %q is not in the suite", name)
		}
	}
}
