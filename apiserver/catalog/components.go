// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"net/url"
	"strconv"
	"strings"
)

// embed adds a JSON Schema to the components of an OpenAPI document, under a name. Each
// place that one of its references names becomes a component, too, because generators
// make a type of each component and do not follow references into them. The schema must
// not be changed afterwards.
func embed(components object, name string, schema object) {
	e := embedding{components, name, schema, map[string]string{"#": name}}
	components[name] = e.component(schema)
}

// embedding is a JSON Schema that is being added to components.
type embedding struct {
	components object
	name       string
	root       object
	names      map[string]string // of the components that exist, by their reference
}

// component returns a schema without what has a meaning only in its old place. Its title
// would be the name of a type in some generators, and titles are not unique.
func (e *embedding) component(schema any) any {
	out := e.converted(schema)
	if s, ok := out.(object); ok {
		delete(s, "title")
	}
	return out
}

// converted returns a copy of a schema in which references name components.
func (e *embedding) converted(schema any) any {
	s, ok := schema.(object)
	switch {
	case schema == true:
		return object{}
	case schema == false:
		return object{"not": object{}}
	case !ok:
		return schema
	}
	out := object{}
	for keyword, value := range s {
		switch keyword {
		case "$schema", "$id", "$anchor", "$comment", "$defs", "definitions":
		case "$ref":
			if reference := e.reference(value); reference != "" {
				out[keyword] = reference
			}
		case "properties", "patternProperties", "dependentSchemas":
			out[keyword] = e.convertedMembers(value)
		case "allOf", "anyOf", "oneOf", "prefixItems":
			out[keyword] = e.convertedElements(value)
		case "items", "contains", "propertyNames", "not", "if", "then", "else", "contentSchema", "unevaluatedItems":
			out[keyword] = e.converted(value)
		case "additionalProperties", "unevaluatedProperties":
			if _, isBool := value.(bool); !isBool {
				value = e.converted(value)
			}
			out[keyword] = value
		case "discriminator":
			out[keyword] = e.discriminator(value)
		case "const": // means the same, and generators of Go know only enum
			out["enum"] = []any{value}
		case "default": // nobody adds it: generators would make the property a required one
			out["x-default"] = value
		default:
			out[keyword] = value
		}
	}
	if out["type"] == "array" && out["items"] == nil { // OpenAPI 3.0, which many tools read, requires it
		out["items"] = object{}
	}
	return out
}

func (e *embedding) convertedMembers(value any) any {
	members, ok := value.(object)
	if !ok {
		return value
	}
	out := object{}
	for name, member := range members {
		out[name] = e.converted(member)
	}
	return out
}

func (e *embedding) convertedElements(value any) any {
	elements, ok := value.([]any)
	if !ok {
		return value
	}
	out := make([]any, len(elements))
	for i, element := range elements {
		out[i] = e.converted(element)
	}
	return out
}

// discriminator returns an OpenAPI discriminator, whose mapping has references.
func (e *embedding) discriminator(value any) any {
	d, _ := value.(object)
	mapping, ok := d["mapping"].(object)
	if !ok {
		return value
	}
	out := object{}
	for name, reference := range mapping {
		out[name] = e.reference(reference)
	}
	return object{"propertyName": d["propertyName"], "mapping": out}
}

// reference returns the reference to the component of a place in the schema, "" if there
// is no such place.
func (e *embedding) reference(value any) string {
	reference, _ := value.(string)
	name, ok := e.names[reference]
	if !ok {
		place, ok := resolve(e.root, reference)
		if !ok {
			return ""
		}
		name = unusedName(e.components, e.name+camelCase(reference[strings.LastIndex(reference, "/")+1:]))
		e.names[reference] = name
		e.components[name] = object{} // its name is used, also while it is converted
		e.components[name] = e.component(place)
	}
	return schemaRef + name
}

// resolve returns the place in a JSON document that a reference names with a JSON pointer
// (RFC 6901, section 6).
func resolve(document any, reference string) (any, bool) {
	pointer, ok := strings.CutPrefix(reference, "#/")
	if !ok {
		return nil, false
	}
	for token := range strings.SplitSeq(pointer, "/") {
		token, err := url.PathUnescape(token)
		if err != nil {
			return nil, false
		}
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch value := document.(type) {
		case object:
			if document, ok = value[token]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(value) {
				return nil, false
			}
			document = value[i]
		default:
			return nil, false
		}
	}
	return document, true
}
