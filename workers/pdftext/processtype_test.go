// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"

	"procman.dev/procman/authorkit/manifest"
	"procman.dev/procman/internal/rules"
)

// typeRules returns the rules of the process type in processtype.yaml.
func typeRules(t *testing.T) *rules.Rules {
	t.Helper()
	processType, err := manifest.Load("processtype.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return rules.New(processType)
}

func TestInputSchema(t *testing.T) {
	allowed := typeRules(t)
	if err := allowed.InputSchemaError(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		input string
		at    string // where the violation is; "" if the input is valid
	}{
		"only what is required":  {`{"source":{"data":"aGk="}}`, ""},
		"everything":             {`{"source":{"data":"aGk="},"pages":{"first":2,"last":2},"layout":"physical"}`, ""},
		"an integer with point":  {`{"source":{"data":"aGk="},"pages":{"first":2.0}}`, ""},
		"no source":              {`{}`, "input.source"},
		"empty data":             {`{"source":{"data":""}}`, "input.source.data"},
		"a member with a typo":   {`{"source":{"data":"aGk="},"page":1}`, "input.page"},
		"page 0":                 {`{"source":{"data":"aGk="},"pages":{"first":0}}`, "input.pages.first"},
		"half a page":            {`{"source":{"data":"aGk="},"pages":{"last":1.5}}`, "input.pages.last"},
		"the last before":        {`{"source":{"data":"aGk="},"pages":{"first":3,"last":2}}`, "input.pages"},
		"an unknown layout":      {`{"source":{"data":"aGk="},"layout":"-raw"}`, "input.layout"},
		"a number that is huge":  {`{"source":{"data":"aGk="},"pages":{"last":1000001}}`, "input.pages.last"},
		"a page that is a text":  {`{"source":{"data":"aGk="},"pages":{"last":"-f"}}`, "input.pages.last"},
		"a range that is a list": {`{"source":{"data":"aGk="},"pages":[1,2]}`, "input.pages"},
	} {
		t.Run(name, func(t *testing.T) {
			at := ""
			if violation, ok := errors.AsType[*rules.Violation](allowed.CheckInput([]byte(test.input))); ok {
				at = violation.Details.At
			}
			if at != test.at {
				t.Errorf("the violation is at %q, want %q", at, test.at)
			}
		})
	}
}
