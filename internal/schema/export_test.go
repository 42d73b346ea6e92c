// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"

	"procman.dev/procman/internal/strictjson"
)

// Open is a schema as JSON Schema defines it: for values of any kind, and objects have
// properties that it does not name.
type Open struct{ *Schema }

// CompileOpen compiles an Open.
func CompileOpen(text []byte) (Open, error) {
	if text[0] != '{' {
		text = fmt.Appendf(nil, `{"allOf":[%s]}`, text) // a boolean
	}
	s, err := compile(text, true)
	if err != nil {
		return Open{}, err
	}
	return Open{s}, nil
}

// Validate is Schema.Validate.
func (s Open) Validate(v strictjson.Value) *Violation { return s.validate("input", v) }
