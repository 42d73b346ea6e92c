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

// checkKeywords refuses what decoding would silently drop: a minimun that was
// meant as a minimum must not open a type to every number.
func checkKeywords(raw []byte) error {
	if err := strictjson.CheckObject(raw); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	doc, err := decode(raw)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	return errors.Join(unknownKeywords(doc, "")...)
}

func unknownKeywords(schema value, at string) []error {
	var errs []error
	for _, m := range schema.members {
		here := keyword(at, m.key)
		switch m.key {
		case "properties":
			for _, p := range m.value.members {
				errs = append(errs, unknownKeywords(p.value, strictjson.Key(here, p.key))...)
			}
		case "items", "additionalProperties", "not":
			errs = append(errs, unknownKeywords(m.value, here)...)
		case "allOf", "anyOf", "oneOf":
			for i, e := range m.value.elements {
				errs = append(errs, unknownKeywords(e, strictjson.Index(here, i))...)
			}
		case "x-kubernetes-validations":
			for i, e := range m.value.elements {
				for _, r := range e.members {
					if !ruleKeywords[r.key] {
						errs = append(errs, fmt.Errorf("%s: there is no such keyword", strictjson.Key(strictjson.Index(here, i), r.key)))
					}
				}
			}
		default:
			if !schemaKeywords[m.key] {
				errs = append(errs, fmt.Errorf("%s: there is no such keyword", strictjson.Key(at, m.key)))
			}
		}
	}
	return errs
}
