// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"encoding/json"

	"procman.dev/procman/internal/schema"
)

// Violation is the error of an input or output that its process type does not
// allow. It is meant for the person who sent the input or wrote the worker.
//
// Its Code is an errorCode: MissingInput, UnrecognizedInput, InvalidInput or
// InputTooLarge for an input, OutputInvalid or OutputTooLarge for an output. Its
// Details are the errorDetails; In is body for an input and output for an output.
type Violation schema.Violation

func (v *Violation) Error() string { return v.Code + ": " + v.ErrorDetails() }

// ErrorDetails returns the details as the text of a JSON object.
func (v *Violation) ErrorDetails() string {
	text, err := json.Marshal(v.Details)
	if err != nil {
		panic("rules: encode the details of a violation: " + err.Error())
	}
	return string(text)
}
