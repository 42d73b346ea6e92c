// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// exampleIn returns the example of a schema: the schema's own, or one built from
// the examples and defaults of its properties. It returns false if the schema has no
// example, or if a required property has none.
func exampleIn(raw *apiextensionsv1.JSON) ([]byte, bool) {
	if raw == nil {
		return nil, false
	}
	var s apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(raw.Raw, &s); err != nil {
		return nil, false // schema.Compile reports it
	}
	example, ok := example(&s)
	return example, ok && len(example) > 2 // {} does not count as an example
}

func example(s *apiextensionsv1.JSONSchemaProps) (json.RawMessage, bool) {
	switch {
	case s.Example != nil:
		return s.Example.Raw, true
	case s.Default != nil:
		return s.Default.Raw, true
	case s.Type != "object":
		return nil, false
	}
	object := map[string]json.RawMessage{}
	for name, property := range s.Properties {
		if value, ok := example(&property); ok {
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
	text, err := json.Marshal(object)
	return text, err == nil
}
