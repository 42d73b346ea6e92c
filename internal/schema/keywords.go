// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// holds is where a keyword has schemas.
type holds int

const (
	nothing holds = iota
	one
	list
	named
)

// keywords are all keywords of JSON Schema 2020-12 and ours, with the schemas in them,
// and those of OpenAPI that only describe.
var keywords = map[string]holds{
	"$anchor": nothing, "$comment": nothing, "$defs": named, "$dynamicAnchor": nothing, "$id": nothing, "$ref": nothing,
	"$schema": nothing, "$vocabulary": nothing, "additionalProperties": one, "allOf": list, "anyOf": list, "const": nothing,
	"contains": one, "contentEncoding": nothing, "contentMediaType": nothing, "contentSchema": one, "default": nothing,
	"definitions": named, "dependentRequired": nothing, "dependentSchemas": named, "deprecated": nothing,
	"description": nothing, "discriminator": nothing, "else": one, "enum": nothing, "example": nothing, "examples": nothing,
	"exclusiveMaximum": nothing, "exclusiveMinimum": nothing, "externalDocs": nothing, "format": nothing, "if": one,
	"items": one, "maxContains": nothing, "maxItems": nothing, "maxLength": nothing, "maxProperties": nothing,
	"maximum": nothing, "minContains": nothing, "minItems": nothing, "minLength": nothing, "minProperties": nothing,
	"minimum": nothing, "multipleOf": nothing, "not": one, "oneOf": list, "pattern": nothing, "patternProperties": named,
	"prefixItems": list, "properties": named, "propertyNames": one, "readOnly": nothing, "required": nothing, "then": one,
	"title": nothing, "type": nothing, "unevaluatedItems": one, "unevaluatedProperties": one, "uniqueItems": nothing,
	"writeOnly": nothing, "xml": nothing, "x-kubernetes-validations": nothing,
}

// replaced are keywords that a library would ignore silently, although their authors
// count on them, each with what to write instead.
var replaced = map[string]string{
	"$dynamicRef":                          `write "$ref"`,
	"$recursiveRef":                        `write "$ref"`,
	"dependencies":                         `write "dependentRequired" or "dependentSchemas"`,
	"nullable":                             `write "type": ["string", "null"], or "anyOf" with {"type": "null"}`,
	"x-kubernetes-int-or-string":           `write "type": ["integer", "string"]`,
	"x-kubernetes-list-map-keys":           `write a rule in "x-kubernetes-validations"`,
	"x-kubernetes-list-type":               `write "uniqueItems": true`,
	"x-kubernetes-preserve-unknown-fields": `write "additionalProperties": true`,
}

// author finds what is wrong with a schema that the library would accept or explain
// badly, and replaces the form of earlier drafts.
type author struct {
	root       any
	identified bool // a part of the schema has an $id
	schemas    int
	errs       []error
}

func (a *author) fail(at, format string, args ...any) {
	a.errs = append(a.errs, fail(at, format, args...))
}

// schema visits one schema and all in it.
func (a *author) schema(value any, at string) {
	a.schemas++
	s, ok := value.(map[string]any)
	if !ok {
		return // a boolean, or an error of the library
	}
	if _, ok := s["$schema"].(string); ok {
		delete(s, "$schema") // all are read as 2020-12
	}
	if tuple, ok := s["items"].([]any); ok {
		s["prefixItems"] = tuple
		delete(s, "items")
		if rest, ok := s["additionalItems"]; ok {
			s["items"] = rest
			delete(s, "additionalItems")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		here := below(at, key)
		switch kind, known := keywords[key]; {
		case !known:
			a.unknown(key, s[key], here)
		case key == "$ref":
			a.reference(s[key], here)
		case kind == one:
			a.schema(s[key], here)
		case kind == list:
			elements, _ := s[key].([]any)
			for i, element := range elements {
				a.schema(element, below(here, strconv.Itoa(i)))
			}
		case kind == named:
			members, _ := s[key].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(members)) {
				a.schema(members[name], below(here, name))
			}
		}
	}
}

func (a *author) unknown(key string, value any, at string) {
	if instead, ok := replaced[key]; ok && value != false {
		a.fail(at, "this keyword is not part of JSON Schema 2020-12: %s", instead)
		return
	}
	if strings.HasPrefix(key, "x-kubernetes-") {
		a.fail(at, "only x-kubernetes-validations is supported")
		return
	}
	const similar = 4 // letters of a keyword, of which one can differ
	for _, known := range slices.Sorted(maps.Keys(keywords)) {
		if known[0] != '$' && len(key) < 2*len(known) && distance(key, known) <= len(known)/similar {
			a.fail(at, "there is no such keyword, expected %s", known)
			return
		}
	}
}

// reference finds references that lead nowhere. If a part of the schema has an $id,
// only the library knows where they lead.
func (a *author) reference(value any, here string) {
	ref, _ := value.(string)
	switch {
	case a.identified:
	case !strings.HasPrefix(ref, "#"):
		a.fail(here, "leads to %s, but only references within the schema are possible", ref)
	case strings.HasPrefix(ref, "#/"):
		if _, ok := at(a.root, pointerOf(ref)); !ok {
			a.fail(here, "there is nothing at %s in this schema", ref)
		}
	}
}

// identified reports whether a value has an $id in it.
func identified(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		_, ok := value["$id"].(string)
		return ok || slices.ContainsFunc(slices.Collect(maps.Values(value)), identified)
	case []any:
		return slices.ContainsFunc(value, identified)
	default:
		return false
	}
}

// numbers finds numbers that the library would read slowly or not at all.
func (a *author) numbers(value any, at string) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			a.numbers(value[key], below(at, key))
		}
	case []any:
		for i, element := range value {
			a.numbers(element, below(at, strconv.Itoa(i)))
		}
	case json.Number:
		if d := parseDecimal(value.String()); d.exp > maxDigits || int64(len(d.digits))-d.exp > maxDigits {
			a.fail(at, "a number in a schema can have %d digits before and after the point", maxDigits)
		}
	}
}

// distance returns how many letters must be added, removed or replaced to get from a
// to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
