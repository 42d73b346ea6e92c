// Package schema holds the inputs and outputs of a process type against the
// type's schema, and says what is wrong in the words of the HTTP contract.
//
// A schema is an OpenAPI v3 structural schema with CEL rules, as in a
// CustomResourceDefinition. The Kubernetes libraries decide what a valid schema
// is, compile its rules and know its formats. Values are walked here, not by
// those libraries, because the contract asks for what they do not give: exact
// paths, the order of the document, and numbers of any size without rounding.
// Where the two differ on purpose, the docstrings of Compile and Validate say so.
package schema

import (
	"encoding/json"
	"strings"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// Schema is a compiled schema. It may be used by several goroutines at once.
type Schema struct {
	root *node // nil: any JSON object
}

// Violation is the first thing wrong with a value.
type Violation struct {
	// Code is errorcode.MissingInput, UnrecognizedInput or InvalidInput.
	Code string
	// Details says where, and for InvalidInput what the schema wants there.
	// In is left for the caller to fill.
	Details Details
}

// Details is the errorDetails object of the contract. Its members are written
// in the order of the fields, absent when empty.
type Details struct {
	// In is the part of the request that At is about: body or path.
	In string `json:"in,omitempty"`
	// At is the exact place, such as input.pages[1].dpi or input["odd key"].
	At string `json:"at,omitempty"`
	// Expected is one JSON object that says what is wanted at that place, in
	// the words of the schema: {"type":"integer","minimum":1}, {"enum":["eng"]},
	// or {"rule":"self.a < self.b","message":"a must be below b"}.
	Expected json.RawMessage `json:"expected,omitempty"`
	// Message says in words what the other members cannot.
	Message string `json:"message,omitempty"`
}

// Validate returns the first violation in raw, which is the text of the value
// called root in paths, or nil when there is none.
//
// Raw must be one strict JSON object, see strictjson.CheckObject; if it is not,
// that is the violation. Then violations count in document order. A property
// that is missing stands at the beginning of its object, before everything else
// in that object. Rules and the compositions anyOf, oneOf and not are about a
// value as a whole, so they are looked at when everything inside it is right.
//
// Defaults are not applied: a process's input is what its client sent. Numbers
// have any size; 1.0 and 1e2 are integers, as JSON Schema says. Rules alone see
// them as Kubernetes does, as 64-bit integers and floats; a rule that reads an
// integer beyond that is violated.
func (s *Schema) Validate(root string, raw []byte) *Violation {
	doc, violation := read(root, raw)
	if violation != nil || s.root == nil {
		return violation
	}
	c := check{budget: runtimeBudget}
	return c.value([]*node{s.root}, doc, &spot{key: root})
}

// read turns raw into a value, or says why it is not one JSON object.
func read(root string, raw []byte) (value, *Violation) {
	if text := strings.TrimLeft(string(raw[:min(len(raw), 64)]), " \t\r\n"); text != "" && text[0] != '{' && json.Valid(raw) {
		return value{}, invalid(&spot{key: root}, expectation{Type: "object"})
	}
	if err := strictjson.CheckObject(raw); err != nil {
		return value{}, &Violation{Code: errorcode.InvalidInput, Details: Details{At: strictjson.Within(root, err)}}
	}
	doc, err := decode(raw)
	if err != nil {
		return value{}, &Violation{Code: errorcode.InvalidInput, Details: Details{At: root}}
	}
	return doc, nil
}
