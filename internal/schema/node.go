// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"

	"procman.dev/procman/internal/strictjson"
)

// node is a schema that values can be validated against.
type node struct {
	props *apiextensionsv1.JSONSchemaProps

	// spine is the same place in the structural schema. It is nil for nodes inside
	// allOf, anyOf, oneOf and not, which only restrict values: they give them no
	// type, and name no properties that the schema around them does not.
	spine *structural.Structural

	enum       map[string]bool // canonical values; nil: any
	pattern    *regexp.Regexp
	format     string // "" if Kubernetes does not check it
	properties map[string]*node
	additional *node // of properties that are not named
	anyKey     bool  // other properties are allowed; without additional, with any value
	items      *node
	parts      []*node // this node and, recursively, those of its allOf
	anyOf      []*node
	oneOf      []*node
	not        *node
	rules      []rule
}

// place is the place in the schema that the builder works on.
type place struct {
	at string
	// open: the array around this place has x-kubernetes-preserve-unknown-fields,
	// which also keeps the unknown properties of its items.
	open bool
}

func (p place) keyword(name string) place { return place{at: keyword(p.at, name)} }
func (p place) key(key string) place      { return place{at: strictjson.Key(p.at, key)} }
func (p place) index(i int) place         { return place{at: strictjson.Index(p.at, i)} }
func (p place) inherit(open bool) place   { p.open = open; return p }

// keyword returns the path of a keyword that exists. Such a name needs no quotes.
func keyword(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// builder builds nodes and collects errors.
type builder struct {
	errs []error
}

func (b *builder) fail(at place, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s: %w", at.at, fmt.Errorf(format, args...)))
}

// node builds the node of props. spine is the same schema in structural form, nil
// inside allOf, anyOf, oneOf and not.
func (b *builder) node(props *apiextensionsv1.JSONSchemaProps, spine *structural.Structural, at place) *node {
	n := &node{props: props, spine: spine, properties: map[string]*node{}}
	b.values(n, at)
	if spine != nil {
		b.structure(n, at)
	}
	for _, key := range slices.Sorted(maps.Keys(props.Properties)) {
		inner := props.Properties[key]
		n.properties[key] = b.node(&inner, propertyOf(spine, key), at.keyword("properties").key(key))
	}
	if props.Items != nil && props.Items.Schema != nil {
		n.items = b.node(props.Items.Schema, itemsOf(spine), at.keyword("items").inherit(n.anyKey))
	}
	n.parts = []*node{n}
	for _, part := range b.composition(props.AllOf, at.keyword("allOf")) {
		n.parts = append(n.parts, part.parts...)
	}
	n.anyOf = b.composition(props.AnyOf, at.keyword("anyOf"))
	n.oneOf = b.composition(props.OneOf, at.keyword("oneOf"))
	if props.Not != nil {
		n.not = b.node(props.Not, nil, at.keyword("not"))
	}
	if spine != nil {
		b.rules(n, at)
		b.satisfiable(n, at)
	}
	return n
}

func (b *builder) composition(all []apiextensionsv1.JSONSchemaProps, at place) (nodes []*node) {
	for i := range all {
		nodes = append(nodes, b.node(&all[i], nil, at.index(i)))
	}
	return nodes
}

// satisfiable finds mistakes because of which no value is valid: a required
// property that no object may have, and bounds that exclude each other. The author
// of a type must learn of them, not its users.
func (b *builder) satisfiable(n *node, at place) {
	for _, part := range n.parts {
		for _, key := range part.props.Required {
			if _, known := n.properties[key]; !known && !n.anyKey {
				b.fail(at.keyword("required"), "%q is not among the properties, and no other property is allowed", key)
			}
		}
	}
	p := n.props
	for _, bound := range []struct {
		lower, upper string
		crossed      bool
	}{
		{"minLength", "maxLength", crossed(p.MinLength, p.MaxLength)},
		{"minItems", "maxItems", crossed(p.MinItems, p.MaxItems)},
		{"minProperties", "maxProperties", crossed(p.MinProperties, p.MaxProperties)},
		{"minimum", "maximum", crossed(p.Minimum, p.Maximum)},
	} {
		if bound.crossed {
			b.fail(at.keyword(bound.lower), "must not be above %s", bound.upper)
		}
	}
	if p.Enum != nil && len(p.Enum) == 0 {
		b.fail(at.keyword("enum"), "must have a value")
	}
}

func crossed[T int64 | float64](lower, upper *T) bool {
	return lower != nil && upper != nil && *lower > *upper
}

// valueTypes are the types that a CustomResourceDefinition's schema can have.
var valueTypes = []string{"array", "boolean", "integer", "number", "object", "string"}

// values builds the part of a node that is about a value itself, not about what is
// in it.
func (b *builder) values(n *node, at place) {
	if t := n.props.Type; t != "" && !slices.Contains(valueTypes, t) {
		b.fail(at.keyword("type"), "there is no type %q, expected one of %s", t, strings.Join(valueTypes, ", "))
	}
	if n.props.Enum != nil {
		n.enum = map[string]bool{}
	}
	for i, e := range n.props.Enum {
		raw := e.Raw
		if raw == nil {
			raw = []byte("null") // which decoding leaves out
		}
		v, err := parseAny(raw)
		if err != nil {
			b.fail(at.keyword("enum").index(i), "read the value: %w", err)
			continue
		}
		n.enum[canonical(v)] = true
	}
	if n.props.Pattern != "" {
		pattern, err := regexp.Compile(n.props.Pattern)
		if err != nil {
			b.fail(at.keyword("pattern"), "%w", err)
		}
		n.pattern = pattern
	}
	if knownFormat(n.props.Format) {
		n.format = n.props.Format
	}
	if m := n.props.MultipleOf; m != nil && *m <= 0 {
		b.fail(at.keyword("multipleOf"), "must be above 0")
	}
}

// structure builds the part of a node with a spine that is about members which the
// schema does not name.
func (b *builder) structure(n *node, at place) {
	p := n.props
	n.anyKey = at.open || p.XPreserveUnknownFields != nil && *p.XPreserveUnknownFields
	if a := p.AdditionalProperties; a != nil && a.Schema != nil {
		n.additional = b.node(a.Schema, n.spine.AdditionalProperties.Structural, at.keyword("additionalProperties"))
		n.anyKey = true
	} else if a != nil && a.Allows {
		n.anyKey = true
	}
	if p.XEmbeddedResource {
		b.fail(at.keyword("x-kubernetes-embedded-resource"), "inputs and outputs contain no Kubernetes resources")
	}
	if isListMap(p) && len(p.XListMapKeys) == 0 {
		b.fail(at.keyword("x-kubernetes-list-type"), "map needs x-kubernetes-list-map-keys")
	}
}

func isListMap(p *apiextensionsv1.JSONSchemaProps) bool {
	return p.XListType != nil && *p.XListType == "map"
}

func isSet(p *apiextensionsv1.JSONSchemaProps) bool {
	return p.UniqueItems || p.XListType != nil && *p.XListType == "set"
}
