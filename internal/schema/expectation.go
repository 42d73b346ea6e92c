// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// expectation is what the schema expects of one value, as JSON.
type expectation struct {
	Type             any                    `json:"type,omitempty"` // string or []string
	Nullable         bool                   `json:"nullable,omitempty"`
	Enum             []apiextensionsv1.JSON `json:"enum,omitempty"`
	Format           string                 `json:"format,omitempty"`
	Pattern          string                 `json:"pattern,omitempty"`
	MinLength        *int64                 `json:"minLength,omitempty"`
	MaxLength        *int64                 `json:"maxLength,omitempty"`
	Minimum          *float64               `json:"minimum,omitempty"`
	ExclusiveMinimum bool                   `json:"exclusiveMinimum,omitempty"`
	Maximum          *float64               `json:"maximum,omitempty"`
	ExclusiveMaximum bool                   `json:"exclusiveMaximum,omitempty"`
	MultipleOf       *float64               `json:"multipleOf,omitempty"`
	MinItems         *int64                 `json:"minItems,omitempty"`
	MaxItems         *int64                 `json:"maxItems,omitempty"`
	UniqueItems      bool                   `json:"uniqueItems,omitempty"`
	UniqueKeys       []string               `json:"x-kubernetes-list-map-keys,omitempty"`
	MinProperties    *int64                 `json:"minProperties,omitempty"`
	MaxProperties    *int64                 `json:"maxProperties,omitempty"`

	AnyOf []apiextensionsv1.JSONSchemaProps `json:"anyOf,omitempty"`
	OneOf []apiextensionsv1.JSONSchemaProps `json:"oneOf,omitempty"`
	Not   *apiextensionsv1.JSONSchemaProps  `json:"not,omitempty"`

	Rule    string `json:"rule,omitempty"`
	Message string `json:"message,omitempty"`
}

// wants returns the expectation of a node: its enum, which is enough, or else its
// type with all its bounds. typ is the type if the node itself has none.
func (n *node) wants(typ any) expectation {
	p := n.props
	if p.Enum != nil {
		return expectation{Enum: p.Enum}
	}
	return expectation{
		Type: typ, Nullable: p.Nullable, Format: p.Format, Pattern: p.Pattern,
		MinLength: p.MinLength, MaxLength: p.MaxLength,
		Minimum: p.Minimum, ExclusiveMinimum: p.ExclusiveMinimum,
		Maximum: p.Maximum, ExclusiveMaximum: p.ExclusiveMaximum, MultipleOf: p.MultipleOf,
		MinItems: p.MinItems, MaxItems: p.MaxItems, UniqueItems: isSet(p), UniqueKeys: p.XListMapKeys,
		MinProperties: p.MinProperties, MaxProperties: p.MaxProperties,
	}
}

// typ returns the node's type for an expectation, nil if it has none.
func (n *node) typ() any {
	switch {
	case n.props.XIntOrString:
		return []string{"integer", "string"}
	case n.props.Type != "":
		return n.props.Type
	default:
		return nil
	}
}

func (e expectation) json() json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // rules often contain < and &&
	if err := enc.Encode(e); err != nil {
		panic("schema: encode what was decoded from JSON: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}
