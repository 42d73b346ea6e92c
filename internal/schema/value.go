// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

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

// plain returns a value as a library represents it. numberOf does so for a number.
func plain(v strictjson.Value, numberOf func(string) any) any {
	switch v.Kind() {
	case object:
		members := map[string]any{}
		for key, value := range v.Members() {
			members[key] = plain(value, numberOf)
		}
		return members
	case array:
		elements := []any{}
		for element := range v.Elements() {
			elements = append(elements, plain(element, numberOf))
		}
		return elements
	case text:
		return v.Text()
	case number:
		return numberOf(v.Text())
	case null:
		return nil
	default:
		return v.Kind() == jsontext.KindTrue
	}
}

// literal is a number for the library jsonschema, in the notation of the text.
func literal(s string) any { return json.Number(s) }

// kubernetesNumber is a number for rules: an int64 if it is one, or else a float64.
func kubernetesNumber(s string) any {
	d := parseDecimal(s)
	if d.exp <= maxInt64Digits && d.integer() {
		if i, err := strconv.ParseInt(d.whole(), 10, 64); err == nil {
			return i
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("schema: read a number that was not checked: " + err.Error())
	}
	return f
}
