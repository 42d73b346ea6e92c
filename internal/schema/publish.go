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

// Publish returns a schema in the words of JSON Schema 2020-12, as OpenAPI 3.1
// has them, for clients to read and to check with. It says what Validate says,
// but for rules, which are no part of JSON Schema and are shown as x-rules; a
// schema that is nil is that of any object. Members come in the order of their
// names.
//
// It returns an error when raw is no JSON. What else may be wrong with it is
// Compile's to say.
func Publish(raw *apiextensionsv1.JSON) (json.RawMessage, error) {
	if raw == nil {
		return json.RawMessage(`{"type":"object"}`), nil
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
	if err := enc.Encode(published(s, true)); err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// published is one schema and all below it. Closed is whether an object takes no
// more than what it names; the branches of a composition are about values whose
// members the schema around them names.
func published(s map[string]any, closed bool) map[string]any {
	out := map[string]any{}
	for keyword, value := range s {
		switch keyword {
		case "properties", "patternProperties", "definitions":
			out[keyword] = eachMember(value, closed)
		case "items", "additionalProperties":
			out[keyword] = one(value, closed)
		case "not":
			out[keyword] = one(value, false)
		case "allOf", "anyOf", "oneOf":
			out[keyword] = eachItem(value)
		case "x-kubernetes-validations":
			out["x-rules"] = value
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
	if kind, ok := out["type"].(string); ok && s["nullable"] == true {
		out["type"] = []any{kind, "null"}
		if values, ok := out["enum"].([]any); ok && !slices.Contains(values, nil) {
			out["enum"] = append(slices.Clone(values), nil)
		}
	}
	open := s["x-kubernetes-preserve-unknown-fields"] == true || s["x-kubernetes-embedded-resource"] == true
	if _, says := s["additionalProperties"]; closed && s["type"] == "object" && !open && !says {
		out["additionalProperties"] = false
	}
	return out
}

// exclusive turns a bound and the boolean that excludes it, as OpenAPI 3.0 has
// them, into one exclusive bound.
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

func one(value any, closed bool) any {
	if s, ok := value.(map[string]any); ok {
		return published(s, closed)
	}
	return value
}

func eachMember(value any, closed bool) any {
	members, ok := value.(map[string]any)
	if !ok {
		return value
	}
	members = maps.Clone(members)
	for name, member := range members {
		members[name] = one(member, closed)
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
		items[i] = one(item, false)
	}
	return items
}
