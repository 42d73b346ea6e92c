// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// node is a schema as the library compiled it, with what our walk needs besides.
type node struct {
	*jsonschema.Schema
	at       string         // its JSON pointer
	keywords map[string]any // as the author wrote them; nil for a boolean

	types []string
	// constants is a schema with only enum and const, bounds one with the other keywords
	// that are about a value itself; nil if there are none. The library checks both.
	constants, bounds *jsonschema.Schema
	patterns          []patternProperties
	rules             []rule
	// spine is this node and, recursively, those that $ref and allOf apply to the same
	// value whatever it is.
	spine []*node
	// settled: no schema of the spine has choices or rules.
	settled bool
	// tags are the properties that the schema limits to constants. They tell which of
	// several choices a value is meant to be.
	tags []string
}

type patternProperties struct {
	*pattern
	schema *jsonschema.Schema
}

// nodes finds the node of a compiled schema.
type nodes map[*jsonschema.Schema]*node

// describesObjects reports whether the schema says what is in an object. Only then an
// object has no other properties: {"description": "anything"} allows all.
func (n *node) describesObjects() bool {
	return slices.Contains(n.types, "object") || n.Properties != nil || n.PatternProperties != nil
}

// builder builds nodes and collects errors.
type builder struct {
	document    any
	open        bool // see Schema
	nodes       nodes
	unevaluated bool // see Schema
	declared    int  // rules
	errs        []error
}

func (b *builder) fail(n *node, keyword, format string, args ...any) {
	b.errs = append(b.errs, fail(n.at+"/"+keyword, format, args...))
}

// build builds the nodes of a schema and of everything in it.
func (b *builder) build(root *jsonschema.Schema) {
	b.visit(root)
	if len(b.errs) > 0 {
		return // the nodes are not complete
	}
	all := slices.SortedFunc(maps.Values(b.nodes), func(a, b *node) int { return cmp.Compare(a.at, b.at) })
	ended := map[*node]bool{}
	for _, n := range all {
		b.findLoop(n, ended)
	}
	if len(b.errs) > 0 {
		return // what follows would not end
	}
	places := map[*node]bool{b.nodes[root]: true} // that alone decide about a value
	for _, n := range all {
		b.spine(n)
		for _, s := range inside(n.Schema) {
			places[b.nodes[s]] = true
		}
	}
	for _, n := range all {
		if !b.open {
			b.satisfiable(n, places[n])
		}
		b.rules(n)
	}
	for _, n := range all {
		b.unevaluated = b.unevaluated || n.UnevaluatedProperties != nil || n.UnevaluatedItems != nil
		n.settled = !slices.ContainsFunc(n.spine, (*node).hasChoices)
	}
}

func (n *node) hasChoices() bool {
	return n.AnyOf != nil || n.OneOf != nil || n.Not != nil || n.If != nil || n.DependentSchemas != nil || n.Contains != nil || n.rules != nil
}

func (b *builder) visit(s *jsonschema.Schema) {
	if b.nodes[s] != nil {
		return
	}
	n := &node{Schema: s, at: pointerOf(s.Location)}
	b.nodes[s] = n
	if !strings.HasPrefix(s.Location, base+"#") || s.DynamicRef != nil {
		b.errs = append(b.errs, fail(strings.TrimPrefix(s.Location, base), "only references within the schema are possible, and none of them with $dynamicRef"))
		return
	}
	keywords, _ := at(b.document, n.at)
	n.keywords, _ = keywords.(map[string]any)
	b.values(n)
	for _, inner := range slices.Concat(inPlace(s), inside(s)) {
		b.visit(inner)
	}
}

// inPlace returns the schemas that s applies to the value itself.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Concat([]*jsonschema.Schema{s.Ref}, s.AllOf, s.AnyOf, s.OneOf, []*jsonschema.Schema{s.Not, s.If, s.Then, s.Else})
	all = slices.AppendSeq(all, maps.Values(s.DependentSchemas))
	return slices.DeleteFunc(all, func(s *jsonschema.Schema) bool { return s == nil })
}

// inside returns the schemas that s applies to what is in the value.
func inside(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Concat(s.PrefixItems, []*jsonschema.Schema{s.Items2020, s.Contains, s.UnevaluatedItems, s.UnevaluatedProperties, s.PropertyNames})
	if additional, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		all = append(all, additional)
	}
	all = slices.AppendSeq(slices.AppendSeq(all, maps.Values(s.Properties)), maps.Values(s.PatternProperties))
	return slices.DeleteFunc(all, func(s *jsonschema.Schema) bool { return s == nil })
}

// values reads the keywords that are about a value itself.
func (b *builder) values(n *node) {
	if n.Types != nil {
		n.types = n.Types.ToStrings()
	}
	s := n.Schema
	if s.Enum != nil || s.Const != nil {
		n.constants = &jsonschema.Schema{DraftVersion: s.DraftVersion, Enum: s.Enum, Const: s.Const}
	}
	format, _ := n.keywords["format"].(string)
	n.bounds = &jsonschema.Schema{
		DraftVersion: s.DraftVersion, Format: formats[format], UniqueItems: s.UniqueItems,
		MinLength: s.MinLength, MaxLength: s.MaxLength, Pattern: s.Pattern,
		Minimum: s.Minimum, ExclusiveMinimum: s.ExclusiveMinimum, Maximum: s.Maximum, ExclusiveMaximum: s.ExclusiveMaximum, MultipleOf: s.MultipleOf,
	}
	if reflect.DeepEqual(n.bounds, &jsonschema.Schema{DraftVersion: s.DraftVersion}) {
		n.bounds = nil
	}
	for re, s := range n.PatternProperties {
		n.patterns = append(n.patterns, patternProperties{re.(*pattern), s})
	}
	slices.SortFunc(n.patterns, func(a, b patternProperties) int { return cmp.Compare(a.String(), b.String()) })
}

// findLoop finds schemas that apply themselves to the same value, without end. ended
// are the nodes that do not; a node that is being visited is there, too, as false.
func (b *builder) findLoop(n *node, ended map[*node]bool) {
	if end, visited := ended[n]; visited {
		if !end {
			b.errs = append(b.errs, fail(n.at, "applies itself to the same value, without end"))
		}
		return
	}
	ended[n] = false
	for _, s := range inPlace(n.Schema) {
		b.findLoop(b.nodes[s], ended)
	}
	ended[n] = true
}

// spine finds the spine and the tags of a node.
func (b *builder) spine(n *node) {
	seen := map[*jsonschema.Schema]bool{}
	var add func(s *jsonschema.Schema)
	add = func(s *jsonschema.Schema) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		n.spine = append(n.spine, b.nodes[s])
		add(s.Ref)
		for _, part := range s.AllOf {
			add(part)
		}
	}
	add(n.Schema)
	for key, s := range n.Properties {
		if b.nodes[s].constants != nil {
			n.tags = append(n.tags, key)
		}
	}
	slices.Sort(n.tags)
}

// satisfiable finds mistakes because of which no value is valid. The author of a type
// must learn of them, not its users.
func (b *builder) satisfiable(n *node, isPlace bool) {
	for _, bounds := range [][2]string{
		{"minLength", "maxLength"}, {"minItems", "maxItems"}, {"minProperties", "maxProperties"}, {"minContains", "maxContains"},
		{"minimum", "maximum"}, {"exclusiveMinimum", "exclusiveMaximum"},
	} {
		lower, upper := n.number(bounds[0]), n.number(bounds[1])
		if lower != nil && upper != nil && lower.Cmp(upper) > 0 {
			b.fail(n, bounds[0], "must not be above %s", bounds[1])
		}
		for i, bound := range []*big.Rat{lower, upper} {
			if bound != nil && bound.IsInt() && !bound.Num().IsInt64() && bounds[0] != "minimum" && bounds[0] != "exclusiveMinimum" {
				b.fail(n, bounds[i], "is too large")
			}
		}
	}
	if n.Enum != nil && len(n.Enum.Values) == 0 {
		b.fail(n, "enum", "must have a value")
	}
	if !isPlace || !slices.ContainsFunc(n.spine, (*node).describesObjects) || slices.ContainsFunc(n.spine, (*node).canNameMore) {
		return
	}
	for _, part := range n.spine {
		for _, key := range part.Required {
			if !slices.ContainsFunc(n.spine, func(other *node) bool { return other.Properties[key] != nil }) {
				b.fail(part, "required", "%q is not among the properties, and no other property is allowed", key)
			}
		}
	}
}

// number returns the number that a keyword has, nil if it has none.
func (n *node) number(keyword string) *big.Rat {
	literal, _ := n.keywords[keyword].(json.Number)
	value, _ := new(big.Rat).SetString(literal.String())
	return value
}

// canNameMore reports whether the properties of an object can be more than those in
// properties.
func (n *node) canNameMore() bool {
	return n.patterns != nil || n.AdditionalProperties != nil && n.AdditionalProperties != false || n.UnevaluatedProperties != nil ||
		n.AnyOf != nil || n.OneOf != nil || n.If != nil || n.DependentSchemas != nil
}
