// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schema validates the inputs and outputs of a process type against the
// type's schema, and describes what is wrong as the HTTP contract demands.
//
// A schema is JSON Schema 2020-12 with CEL rules. The library jsonschema compiles it:
// it checks every keyword, resolves references and reads patterns. The walk over a
// value is our own, because the contract needs what the library's does not give: the
// first violation in the order of the document, numbers without a limit of digits, and
// a bound on the work for one value (docs/adr/0030-json-schema.md).
//
// The rest of the program sees only Compile, Validate, Violation and Details.
package schema

import (
	"encoding/json"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	root  *node // nil: any JSON object
	nodes nodes
	// unevaluated: the schema has unevaluatedProperties or unevaluatedItems.
	unevaluated bool
	// open: an object can have properties that the schema does not name, as in JSON
	// Schema itself. Only tests set it.
	open bool
}

// Violation is the first thing that is wrong with a value.
type Violation struct {
	// Code is errorcode.MissingInput, UnrecognizedInput or InvalidInput.
	Code string
	// Details contain the place and, for InvalidInput, what the schema expects
	// there. In is left for the caller to fill.
	Details Details
}

// Details is the errorDetails object of the contract. JSON has its members in the
// order of the fields, without those that are empty.
type Details struct {
	// In is the part of the request, or the payload, that At is about: body, path,
	// query, header or output.
	In string `json:"in,omitempty"`
	// At is the exact place, such as input.pages[1].dpi or input["odd key"].
	At string `json:"at,omitempty"`
	// Expected is a JSON object that describes what is expected at that place, with
	// the keywords of the schema: {"type":"integer","minimum":1}, {"enum":["eng"]},
	// or {"rule":"self.a < self.b","message":"a must be below b"}.
	Expected json.RawMessage `json:"expected,omitempty"`
	// Bytes and MaxBytes are the size and the limit of an output that is too large.
	Bytes    int `json:"bytes,omitempty"`
	MaxBytes int `json:"maxBytes,omitempty"`
	// Message is for a person, where the other members are not enough.
	Message string `json:"message,omitempty"`
	// Offset is the byte at which a text that is not strict JSON is wrong, from 0.
	Offset *int64 `json:"offset,omitempty"`
}

// Validate returns the first violation in v, or nil if there is none. root is the
// name of v in paths, such as input.
//
// v must come from strictjson.Parse. It may be of any kind; only objects are
// valid. Violations count in document order. A missing property counts at the
// beginning of its object, before everything else in that object. Rules and the
// compositions anyOf, oneOf and not are about a value as a whole, so they are
// checked after everything in it.
//
// An object has only the properties that one of the schemas applied to it describes,
// as with unevaluatedProperties: false.
//
// Defaults are not applied: the input of a process is what its client sent.
// Numbers have any size; 1.0 and 1e2 are integers. Only rules see numbers as
// Kubernetes does, as 64-bit integers and floats. An integer that does not fit
// violates each rule that reads it.
//
// A value that needs too much work is not valid. See maxSteps.
func (s *Schema) Validate(root string, v strictjson.Value) *Violation {
	if v.Kind() != object {
		return &Violation{Code: errorcode.InvalidInput, Details: Details{At: root, Expected: json.RawMessage(`{"type":"object"}`)}}
	}
	if s.root == nil {
		return nil
	}
	return s.validate(root, v)
}

// validate is Validate for values of any kind.
func (s *Schema) validate(root string, v strictjson.Value) *Violation {
	w := walk{schema: s, root: root, steps: maxSteps(v)}
	defer w.rules.close()
	violation := w.value([]*node{s.root}, v)
	if w.steps < 0 {
		return &Violation{Code: errorcode.InvalidInput, Details: Details{At: root, Message: "the schema needs too many steps to check this value"}}
	}
	return violation
}
