// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"

	"procman.dev/procman/internal/strictjson"
)

// The kinds of JSON values, as jsontext names them.
const (
	object = jsontext.KindBeginObject
	array  = jsontext.KindBeginArray
	text   = jsontext.KindString
	number = jsontext.KindNumber
	null   = jsontext.KindNull
)

// parseAny parses a JSON value of any kind.
func parseAny(raw []byte) (strictjson.Value, error) {
	root, err := strictjson.Parse(fmt.Appendf(nil, `{"value":%s}`, raw))
	if err != nil {
		return strictjson.Value{}, err
	}
	value, _ := root.Member("value")
	return value, nil
}

// canonical returns a text that two values share exactly if they are equal as
// JSON. The order of members and the notation of numbers do not matter.
func canonical(v strictjson.Value) string {
	var b strings.Builder
	writeCanonical(&b, v)
	return b.String()
}

func writeCanonical(b *strings.Builder, v strictjson.Value) {
	switch v.Kind() {
	case object:
		members := maps.Collect(v.Members())
		b.WriteByte('{')
		for _, key := range slices.Sorted(maps.Keys(members)) {
			b.WriteString(strconv.Quote(key))
			writeCanonical(b, members[key])
		}
		b.WriteByte('}')
	case array:
		b.WriteByte('[')
		for element := range v.Elements() {
			writeCanonical(b, element)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case text:
		b.WriteString(strconv.Quote(v.Text()))
	case number:
		b.WriteString(parseDecimal(v.Text()).String())
	default:
		b.WriteString(v.Kind().String())
	}
}

// unstructured returns the value as the Kubernetes libraries represent it. The
// schema decides whether a number is an integer or a float.
func unstructured(v strictjson.Value, s *structural.Structural) any {
	switch v.Kind() {
	case object:
		members := map[string]any{}
		for key, value := range v.Members() {
			members[key] = unstructured(value, propertyOf(s, key))
		}
		return members
	case array:
		elements := []any{}
		for element := range v.Elements() {
			elements = append(elements, unstructured(element, itemsOf(s)))
		}
		return elements
	case text:
		return v.Text()
	case number:
		if i, ok := parseDecimal(v.Text()).int64(); ok && (s == nil || s.Type != "number") {
			return i
		}
		f, err := strconv.ParseFloat(v.Text(), 64)
		if err != nil {
			panic("schema: read a number that was not checked: " + err.Error())
		}
		return f
	case null:
		return nil
	default:
		return v.Kind() == jsontext.KindTrue
	}
}

// propertyOf returns the schema of the member key of an object, nil if there is none.
func propertyOf(s *structural.Structural, key string) *structural.Structural {
	if s == nil {
		return nil
	}
	if p, ok := s.Properties[key]; ok {
		return &p
	}
	if s.AdditionalProperties != nil {
		return s.AdditionalProperties.Structural
	}
	return nil
}

// itemsOf returns the schema of the elements of an array, nil if there is none.
func itemsOf(s *structural.Structural) *structural.Structural {
	if s == nil {
		return nil
	}
	return s.Items
}
