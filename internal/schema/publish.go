// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Publish returns a schema as JSON Schema 2020-12, which OpenAPI 3.1 uses, so that
// clients can read it and validate with it. It accepts what Validate accepts, except
// for two things that JSON Schema does not have: rules, which become x-rules, and
// the keys of a list that is a map. A nil schema accepts any object. Members are
// sorted by name.
//
// The error is that raw is not JSON. Compile finds everything else that can be
// wrong with it.
func Publish(raw *apiextensionsv1.JSON) (json.RawMessage, error) {
	if raw == nil {
		return json.RawMessage(`{"additionalProperties":true,"type":"object"}`), nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw.Raw))
	dec.UseNumber()
	var s map[string]any
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	delete(s, "nullable") // inputs and outputs are objects
	if err := enc.Encode(published(s, within{closed: true})); err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// within is what a schema inherits from the one around it.
type within struct {
	// closed: an object has only the members that it names. It is not set in a
	// composition, where the schema around it names the members.
	closed bool
	// open: the array around keeps the unknown properties of its items.
	open bool
}

// published converts one schema and all schemas in it.
func published(s map[string]any, in within) map[string]any {
	open := in.open || s["x-kubernetes-preserve-unknown-fields"] == true
	out := map[string]any{}
	for keyword, value := range s {
		switch keyword {
		case "properties", "patternProperties", "definitions":
			out[keyword] = eachMember(value, within{closed: in.closed})
		case "items":
			out[keyword] = one(value, within{closed: in.closed, open: open})
		case "additionalProperties":
			if value != false || !open {
				out[keyword] = one(value, within{closed: in.closed})
			}
		case "not":
			out[keyword] = one(value, within{})
		case "allOf", "anyOf", "oneOf":
			out[keyword] = eachItem(value)
		case "x-kubernetes-validations":
			out["x-rules"] = value
		case "x-kubernetes-list-type":
			if value == "set" {
				out["uniqueItems"] = true
			}
		case "example":
			out["examples"] = []any{value}
		default:
			if !strings.HasPrefix(keyword, "x-kubernetes-") && keyword != "nullable" {
				out[keyword] = value
			}
		}
	}
	exclusive(out, "minimum", "exclusiveMinimum")
	exclusive(out, "maximum", "exclusiveMaximum")
	if s["x-kubernetes-int-or-string"] == true {
		out["type"] = []any{"integer", "string"}
	}
	if _, decided := s["additionalProperties"]; in.closed && s["type"] == "object" && !decided {
		out["additionalProperties"] = open
	}
	return orNull(out, s["nullable"] == true)
}

// orNull makes a converted schema accept null if it is nullable. In Kubernetes,
// compositions do not apply to null, but an enum does.
func orNull(s map[string]any, nullable bool) map[string]any {
	typ, typed := s["type"]
	if typed && !nullable {
		return s
	}
	if values, ok := s["enum"].([]any); ok && !slices.Contains(values, nil) {
		return s
	}
	for _, composition := range []string{"allOf", "anyOf", "oneOf", "not"} {
		if _, has := s[composition]; has {
			return map[string]any{"anyOf": []any{map[string]any{"type": "null"}, s}}
		}
	}
	switch typ := typ.(type) {
	case string:
		s["type"] = []any{typ, "null"}
	case []any:
		s["type"] = append(typ, "null")
	}
	return s
}

// exclusive turns a bound and its exclusive flag, as in OpenAPI 3.0, into one
// exclusive bound.
func exclusive(s map[string]any, bound, excluded string) {
	is, ok := s[excluded].(bool)
	if !ok {
		return
	}
	delete(s, excluded)
	if n, ok := s[bound]; ok && is {
		s[excluded] = n
		delete(s, bound)
	}
}

func one(value any, in within) any {
	if s, ok := value.(map[string]any); ok {
		return published(s, in)
	}
	return value
}

func eachMember(value any, in within) any {
	members, ok := value.(map[string]any)
	if !ok {
		return value
	}
	members = maps.Clone(members)
	for name, member := range members {
		members[name] = one(member, in)
	}
	return members
}

func eachItem(value any) any {
	items, ok := value.([]any)
	if !ok {
		return value
	}
	items = slices.Clone(items)
	for i, item := range items {
		items[i] = one(item, within{})
	}
	return items
}
