// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// exampleIn returns the example of a schema: the first example of the schema itself, or
// one that is built from the examples and defaults of its properties. It returns false if
// the schema has no example, or if a required property has none.
func exampleIn(raw *apiextensionsv1.JSON) ([]byte, bool) {
	if raw == nil {
		return nil, false
	}
	example, ok := example(raw.Raw)
	return example, ok && len(example) > 2 // {} does not count as an example
}

func example(text json.RawMessage) (json.RawMessage, bool) {
	var s struct {
		Examples         []json.RawMessage
		Example, Default json.RawMessage // example is a keyword of OpenAPI
		Properties       map[string]json.RawMessage
		Required         []string
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, false // a boolean, or an error that schema.Compile reports
	}
	for _, own := range append(s.Examples, s.Example, s.Default) {
		if own != nil {
			return own, true
		}
	}
	object := map[string]json.RawMessage{}
	for name, property := range s.Properties {
		if value, ok := example(property); ok {
			object[name] = value
		}
	}
	for _, name := range s.Required {
		if object[name] == nil {
			return nil, false
		}
	}
	if len(object) == 0 {
		return nil, false
	}
	example, err := json.Marshal(object)
	return example, err == nil
}
