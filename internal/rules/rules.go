// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rules decides whether a process type allows an input or an output. The
// facade asks it before it creates a process, the operator before it launches one
// and before it commits a result, and the author's kit does all three without a
// cluster.
//
// The package is pure: it reads nothing but a ProcessType and a payload.
package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

// The names of payloads in paths.
const (
	input  = "input"
	output = "output"
)

// Rules are what one generation of a process type demands of inputs and outputs.
// Each schema is compiled when it is first needed, once. Rules are safe for
// concurrent use.
type Rules struct {
	maxInputBytes, maxOutputBytes int
	inputSchema, outputSchema     func() (*schema.Schema, error)
	anyInput, anyOutput           bool // there is no schema
}

// New returns the rules of a process type.
func New(t *v1alpha1.ProcessType) *Rules {
	return &Rules{
		maxInputBytes:  t.MaxInputBytes(),
		maxOutputBytes: t.MaxOutputBytes(),
		inputSchema:    compiled("spec.inputSchema", t.Spec.InputSchema),
		outputSchema:   compiled("spec.outputSchema", t.Spec.OutputSchema),
		anyInput:       t.Spec.InputSchema == nil,
		anyOutput:      t.Spec.OutputSchema == nil,
	}
}

func compiled(field string, text *apiextensionsv1.JSON) func() (*schema.Schema, error) {
	return sync.OnceValues(func() (*schema.Schema, error) {
		s, err := schema.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		return s, nil
	})
}

// InputSchemaError returns why the type's inputSchema is not valid, or nil. The
// text begins with spec.inputSchema and is for the author of the type.
func (r *Rules) InputSchemaError() error {
	_, err := r.inputSchema()
	return err
}

// OutputSchemaError is InputSchemaError for the type's outputSchema.
func (r *Rules) OutputSchemaError() error {
	_, err := r.outputSchema()
	return err
}

// Parse parses the body of a POST, which contains an input, in one pass. It keeps
// what CheckParsedInput needs: without an inputSchema, only the outermost members.
// The error is a *strictjson.Error.
func (r *Rules) Parse(body []byte) (strictjson.Value, error) { return parse(body, r.anyInput) }

// ParseBytes returns the memory that Parse takes, in bytes.
func (r *Rules) ParseBytes(body []byte) int64 {
	if r.anyInput {
		return 0 // some bytes for each of the outermost members
	}
	return strictjson.ParseBytes(body)
}

func parse(text []byte, noSchema bool) (strictjson.Value, error) {
	if noSchema {
		return strictjson.ParseMembers(text)
	}
	return strictjson.Parse(text)
}

// CheckInput returns a *Violation if text is not an input that the type allows: one
// strict JSON object, not too large for the type, and valid by the inputSchema. It returns InputSchemaError if the type cannot be used.
func (r *Rules) CheckInput(text []byte) error {
	if violation := r.checkInputSize(text); violation != nil {
		return violation
	}
	value, err := parse(text, r.anyInput)
	if err != nil {
		return &Violation{Code: errorcode.InvalidInput, Details: notAnObject("body", input, err)}
	}
	return r.checkInputSchema(value)
}

// CheckParsedInput is CheckInput for a member of a body that Parse returned.
func (r *Rules) CheckParsedInput(value strictjson.Value) error {
	if violation := r.checkInputSize(value.Raw()); violation != nil {
		return violation
	}
	return r.checkInputSchema(value)
}

func (r *Rules) checkInputSchema(value strictjson.Value) error {
	s, err := r.inputSchema()
	if err != nil {
		return err
	}
	violation := (*Violation)(s.Validate(input, value))
	if violation == nil {
		return nil
	}
	violation.Details.In = "body"
	return violation
}

// CheckOutput returns a *Violation if text is not an output that the type allows:
// one strict JSON object, not too large for the type, and valid by the
// outputSchema. It returns OutputSchemaError if the output is right in everything
// else but cannot be validated.
func (r *Rules) CheckOutput(text []byte) error {
	if len(text) > r.maxOutputBytes {
		return &Violation{Code: errorcode.OutputTooLarge, Details: schema.Details{
			In: output, Bytes: len(text), MaxBytes: r.maxOutputBytes,
			Message: "the output is larger than limits.outputBytes of the type",
		}}
	}
	value, err := parse(text, r.anyOutput)
	if err != nil {
		details := notAnObject(output, output, err)
		details.Message = outputInvalid
		return &Violation{Code: errorcode.OutputInvalid, Details: details}
	}
	s, err := r.outputSchema()
	if err != nil {
		return err
	}
	violation := (*Violation)(s.Validate(output, value))
	if violation == nil {
		return nil
	}
	violation.Details.In, violation.Details.Message = output, outputInvalid
	switch violation.Code {
	case errorcode.MissingInput:
		violation.Details.Message = "the type's outputSchema requires a property that the output does not have"
	case errorcode.UnrecognizedInput:
		violation.Details.Message = "the output has a property that the type's outputSchema does not name"
	}
	violation.Code = errorcode.OutputInvalid
	return violation
}

const outputInvalid = "the output is not what the type's outputSchema asks for"

func (r *Rules) checkInputSize(text []byte) *Violation {
	if len(text) > r.maxInputBytes {
		return InputTooLarge(input, r.maxInputBytes)
	}
	return nil
}

// InputTooLarge returns the violation of an input of more than maxBytes. at is
// input, or "" if the whole body is too large for such an input.
func InputTooLarge(at string, maxBytes int) *Violation {
	return &Violation{Code: errorcode.InputTooLarge, Details: schema.Details{
		In: "body", At: at, Expected: fmt.Appendf(nil, `{"maxBytes":%d}`, maxBytes),
	}}
}

// notAnObject returns the details about a payload that strictjson does not accept.
func notAnObject(in, root string, err error) schema.Details {
	details := schema.Details{In: in, At: strictjson.Within(root, err)}
	if e, ok := errors.AsType[*strictjson.Error](err); ok && e.Reason == strictjson.NotAnObject {
		details.Expected = json.RawMessage(`{"type":"object"}`)
	}
	return details
}
