// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schema validates the inputs and outputs of a process type against the
// type's schema, and describes what is wrong as the HTTP contract demands.
//
// A schema is an OpenAPI v3 structural schema with CEL rules, as in a
// CustomResourceDefinition. The Kubernetes libraries decide what a valid schema
// is, compile its rules and know its formats. The walk over a value is our own,
// because the contract demands what those libraries do not give: exact paths, the
// order of the document, and numbers of any size without rounding
// (docs/adr/0003-validation-by-our-own-walk.md). The docstrings of Compile and
// Validate list where the two differ on purpose.
//
// The kind of schema is meant to change. So the rest of the program sees only
// Compile, Validate, Publish, Violation and Details.
package schema

import (
	"encoding/json"

	"procman.dev/procman/internal/strictjson"
)

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	root *node // nil: any JSON object
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
// Defaults are not applied: the input of a process is what its client sent.
// Numbers have any size; 1.0 and 1e2 are integers, as in JSON Schema. Only rules
// see numbers as Kubernetes does, as 64-bit integers and floats. An integer that
// does not fit violates each rule that reads it.
func (s *Schema) Validate(root string, v strictjson.Value) *Violation {
	switch {
	case s.root != nil:
		w := walk{budget: runtimeBudget, root: root}
		return w.value([]*node{s.root}, v)
	case v.Kind() != object:
		return invalid(root, expectation{Type: "object"})
	default:
		return nil
	}
}
