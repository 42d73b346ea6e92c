// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"procman.dev/procman/internal/strictjson"
)

var (
	schemaKeywords = jsonNames(reflect.TypeFor[apiextensionsv1.JSONSchemaProps]())
	ruleKeywords   = jsonNames(reflect.TypeFor[apiextensionsv1.ValidationRule]())
)

func jsonNames(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}

// checkKeywords returns an error about each keyword that does not exist. Decoding
// would silently ignore it: a misspelled minimum must not allow every number.
func checkKeywords(raw []byte) error {
	schema, err := strictjson.Parse(raw)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	return errors.Join(unknownKeywords(schema, "")...)
}

func unknownKeywords(schema strictjson.Value, at string) []error {
	var errs []error
	unknown := func(at, key string) {
		errs = append(errs, fmt.Errorf("%s: there is no such keyword", strictjson.Key(at, key)))
	}
	for key, value := range schema.Members() {
		here := keyword(at, key)
		switch key {
		case "properties":
			for name, property := range value.Members() {
				errs = append(errs, unknownKeywords(property, strictjson.Key(here, name))...)
			}
		case "items", "additionalProperties", "not":
			errs = append(errs, unknownKeywords(value, here)...)
		case "allOf", "anyOf", "oneOf":
			i := 0
			for e := range value.Elements() {
				errs = append(errs, unknownKeywords(e, strictjson.Index(here, i))...)
				i++
			}
		case "x-kubernetes-validations":
			i := 0
			for e := range value.Elements() {
				for name := range e.Members() {
					if !ruleKeywords[name] {
						unknown(strictjson.Index(here, i), name)
					}
				}
				i++
			}
		default:
			if !schemaKeywords[key] {
				unknown(at, key)
			}
		}
	}
	return errs
}
