// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"image"
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
		"only what is required":   {`{"source":{"data":"aGk="}}`, ""},
		"everything":              {`{"source":{"data":"aGk="},"language":"deu+eng","fields":[{"page":2,"area":{"x":0,"y":0,"width":1,"height":1}}],"minimumCharacterConfidence":12.5,"defaultHorizontalResolution":300}`, ""},
		"no source":               {`{}`, "input.source"},
		"no data":                 {`{"source":{}}`, "input.source.data"},
		"empty data":              {`{"source":{"data":""}}`, "input.source.data"},
		"a member with a typo":    {`{"source":{"data":"aGk="},"lang":"eng"}`, "input.lang"},
		"a language with a blank": {`{"source":{"data":"aGk="},"language":"eng deu"}`, "input.language"},
		"an option as language":   {`{"source":{"data":"aGk="},"language":"--psm"}`, "input.language"},
		"no fields in the list":   {`{"source":{"data":"aGk="},"fields":[]}`, "input.fields"},
		"a field of no width":     {`{"source":{"data":"aGk="},"fields":[{"area":{"x":0,"y":0,"width":0,"height":1}}]}`, "input.fields[0].area.width"},
		"page 0":                  {`{"source":{"data":"aGk="},"fields":[{"page":0,"area":{"x":0,"y":0,"width":1,"height":1}}]}`, "input.fields[0].page"},
		"confidence over 100":     {`{"source":{"data":"aGk="},"minimumCharacterConfidence":101}`, "input.minimumCharacterConfidence"},
		"resolution 0":            {`{"source":{"data":"aGk="},"defaultHorizontalResolution":0}`, "input.defaultHorizontalResolution"},
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

// The outputSchema lists every member, so this fails if the worker adds a member that
// it does not have.
func TestOutputMatchesTheSchema(t *testing.T) {
	allowed := typeRules(t)
	bounds := image.Rect(0, 0, 650, 310)
	lines := golden(t, image.Point{}, bounds)
	whole := area{page: 1, box: boxOf(bounds), whole: true}
	for name, test := range map[string]struct {
		readings []reading
		fields   bool
	}{
		"pages":          {[]reading{{area: whole, lines: lines}}, false},
		"an empty page":  {[]reading{{area: whole}}, false},
		"fields":         {[]reading{{area: area{page: 1, box: box{1, 2, 300, 40}}, lines: lines}}, true},
		"an empty field": {[]reading{{area: area{page: 1, box: box{1, 2, 300, 40}}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(newOutput([]page{{size: bounds.Max, resolution: 150}}, test.readings, test.fields))
			if err != nil {
				t.Fatal(err)
			}
			if err := allowed.CheckOutput(text); err != nil {
				t.Error(err)
			}
		})
	}
}
