// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"procman.dev/procman/api/v1alpha1"
)

// Document is a JSON document about the types.
type Document struct {
	Body []byte
	ETag string
}

// newDocument returns the document with a body, or err.
func newDocument(body []byte, err error) (Document, error) {
	if err != nil {
		return Document{}, err
	}
	sum := sha256.Sum256(body)
	return Document{Body: body, ETag: `"` + hex.EncodeToString(sum[:8]) + `"`}, nil
}

// publishedType is a type with its schemas in the form that clients get.
type publishedType struct {
	*Type
	input, output publishedSchema
}

// publishedSchema is a JSON Schema.
type publishedSchema struct {
	text  json.RawMessage
	value object // the same, with numbers as json.Number
}

// published leaves out a type whose schema is not a JSON object, so that one wrong type
// does not hide the others. The operator will report it.
func published(types []*Type) []publishedType {
	var all []publishedType
	for _, t := range types {
		input, inputErr := publish(t.Spec.InputSchema)
		output, outputErr := publish(t.Spec.OutputSchema)
		if inputErr == nil && outputErr == nil {
			all = append(all, publishedType{t, input, output})
		}
	}
	return all
}

// publish returns a schema as its author wrote it. A nil schema accepts any object.
func publish(raw *apiextensionsv1.JSON) (s publishedSchema, err error) {
	s.text = json.RawMessage(`{"additionalProperties":true,"type":"object"}`)
	if raw != nil {
		s.text = raw.Raw
	}
	decoder := json.NewDecoder(bytes.NewReader(s.text))
	decoder.UseNumber() // keeps all digits
	if err := decoder.Decode(&s.value); err != nil || s.value == nil {
		return s, errors.New("the schema is not a JSON object")
	}
	return s, nil
}

// processTypes returns the body of GET /v1/processTypes.
func processTypes(types []publishedType) ([]byte, error) {
	type limits struct {
		InputBytes  int `json:"inputBytes"`
		OutputBytes int `json:"outputBytes"`
	}
	type processType struct {
		Name            string          `json:"name"`
		Aliases         []string        `json:"aliases,omitempty"`
		Description     string          `json:"description,omitempty"`
		InputSchema     json.RawMessage `json:"inputSchema"`
		OutputSchema    json.RawMessage `json:"outputSchema"`
		Limits          limits          `json:"limits"`
		LifetimeSeconds int32           `json:"lifetimeSeconds"`
	}
	list := struct {
		ProcessTypes []processType `json:"processTypes"`
	}{[]processType{}}
	for _, t := range types {
		list.ProcessTypes = append(list.ProcessTypes, processType{
			Name: t.Name, Aliases: t.Spec.Aliases, Description: t.Spec.Description,
			InputSchema: t.input.text, OutputSchema: t.output.text,
			Limits:          limits{t.MaxInputBytes(), t.MaxOutputBytes()},
			LifetimeSeconds: cmp.Or(t.Spec.LifetimeSeconds, v1alpha1.DefaultLifetimeSeconds),
		})
	}
	return json.Marshal(list)
}
