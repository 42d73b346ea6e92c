// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/kube-openapi/pkg/validation/strfmt"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// walk validates one value and everything in it. It ends at the first violation.
type walk struct {
	budget int64  // what the rules may still cost
	root   string // the name of the outermost value in paths
	steps  []step // from there to the value that is being validated
}

// step is the way from a value to one of its members or elements. Paths are built
// only for violations: one for each value would be many times as long as the
// document.
type step struct {
	key   string
	index int // of an element; -1 for a member
}

func member(key string) step { return step{key: key, index: -1} }
func element(i int) step     { return step{index: i} }

// at returns the path of the value that is being validated, or of what is so many
// steps below it.
func (w *walk) at(below ...step) string {
	path := w.root
	for _, steps := range [][]step{w.steps, below} {
		for _, s := range steps {
			if s.index < 0 {
				path = strictjson.Key(path, s.key)
			} else {
				path = strictjson.Index(path, s.index)
			}
		}
	}
	return path
}

func invalid(at string, expected expectation) *Violation {
	return &Violation{Code: errorcode.InvalidInput, Details: Details{At: at, Expected: expected.json()}}
}

// value validates v against all nodes of its place and their allOf. If one of the
// nodes has a spine, it is the first.
func (w *walk) value(about []*node, v strictjson.Value) *Violation {
	kind, nodes := v.Kind(), about
	if kind != null { // to which allOf does not apply
		nodes = about[0].parts
		for _, n := range about[1:] {
			nodes = append(slices.Clip(nodes), n.parts...)
		}
	}
	for _, n := range nodes {
		if !n.allowsType(v) {
			return invalid(w.at(), n.wants(n.typ()))
		}
	}
	if kind == object {
		for _, n := range nodes {
			for _, key := range n.props.Required {
				if _, ok := v.Member(key); !ok {
					return &Violation{Code: errorcode.MissingInput, Details: Details{At: w.at(member(key))}}
				}
			}
		}
	}
	typ := nodes[0].typ()
	for _, n := range nodes {
		if !n.allowsValue(v) {
			return invalid(w.at(), n.wants(typ))
		}
	}
	if violation := w.members(nodes, v); violation != nil {
		return violation
	}
	if violation := w.elements(nodes, v); violation != nil {
		return violation
	}
	if kind == null {
		return nil
	}
	for _, n := range nodes {
		if violation := w.whole(n, v); violation != nil {
			return violation
		}
	}
	return nil
}

// inside validates the member or element that one step leads to.
func (w *walk) inside(s step, nodes []*node, v strictjson.Value) *Violation {
	w.steps = append(w.steps, s)
	defer func() { w.steps = w.steps[:len(w.steps)-1] }()
	return w.value(nodes, v)
}

func (w *walk) members(nodes []*node, v strictjson.Value) *Violation {
	for key, value := range v.Members() {
		inner, known := nodesOf(nodes, key)
		if !known {
			return &Violation{Code: errorcode.UnrecognizedInput, Details: Details{At: w.at(member(key))}}
		}
		if len(inner) == 0 {
			continue
		}
		if violation := w.inside(member(key), inner, value); violation != nil {
			return violation
		}
	}
	return nil
}

func (w *walk) elements(nodes []*node, v strictjson.Value) *Violation {
	var items []*node
	for _, n := range nodes {
		if n.items != nil {
			items = append(items, n.items)
		}
	}
	if len(items) == 0 {
		return nil
	}
	i := 0
	for e := range v.Elements() {
		if violation := w.inside(element(i), items, e); violation != nil {
			return violation
		}
		i++
	}
	return nil
}

// nodesOf returns the nodes of the member key, and whether the member is known. A
// node with a spine knows the members that it names, or all if it keeps unknown
// ones. A node without a spine knows all.
func nodesOf(nodes []*node, key string) (inner []*node, known bool) {
	known = true
	for _, n := range nodes {
		next := n.properties[key]
		if next == nil {
			next = n.additional
		}
		if next != nil {
			inner = append(inner, next)
		} else if n.spine != nil && !n.anyKey {
			known = false
		}
	}
	return inner, known
}

// whole checks the compositions and rules of n. They are about v together with
// everything in it, which is valid.
func (w *walk) whole(n *node, v strictjson.Value) *Violation {
	matches := func(subs ...*node) (matched int) {
		for _, sub := range subs {
			if w.value([]*node{sub}, v) == nil {
				matched++
			}
		}
		return matched
	}
	switch {
	case len(n.anyOf) > 0 && matches(n.anyOf...) == 0:
		return invalid(w.at(), expectation{AnyOf: n.props.AnyOf})
	case len(n.oneOf) > 0 && matches(n.oneOf...) != 1:
		return invalid(w.at(), expectation{OneOf: n.props.OneOf})
	case n.not != nil && matches(n.not) == 1:
		return invalid(w.at(), expectation{Not: n.props.Not})
	}
	if len(n.rules) == 0 {
		return nil
	}
	return w.rules(n, v)
}

// allowsType reports whether v is of the node's type. A node without a type allows
// all.
func (n *node) allowsType(v strictjson.Value) bool {
	kind := v.Kind()
	if kind == null && n.spine != nil {
		return n.props.Nullable || n.typ() == nil
	}
	integer := func() bool { return kind == number && parseDecimal(v.Text()).integer() }
	if n.props.XIntOrString {
		return kind == text || integer()
	}
	switch n.props.Type {
	case "":
		return true
	case "object":
		return kind == object
	case "array":
		return kind == array
	case "string":
		return kind == text
	case "number":
		return kind == number
	case "integer":
		return integer()
	case "boolean":
		return kind == 't' || kind == 'f'
	default:
		return false
	}
}

// allowsValue checks the node's bounds on v itself. As in JSON Schema, bounds of
// another type than v's do not apply.
func (n *node) allowsValue(v strictjson.Value) bool {
	p := n.props
	if n.enum != nil && !n.enum[canonical(v)] {
		return false
	}
	switch v.Kind() {
	case object:
		return between(v.Len(), p.MinProperties, p.MaxProperties)
	case array:
		return between(v.Len(), p.MinItems, p.MaxItems) && n.allowsRepeats(v)
	case text:
		return n.allowsText(v)
	case number:
		return n.allowsNumber(parseDecimal(v.Text()))
	default:
		return true
	}
}

func between(n int, minimum, maximum *int64) bool {
	return (minimum == nil || int64(n) >= *minimum) && (maximum == nil || int64(n) <= *maximum)
}

func (n *node) allowsText(v strictjson.Value) bool {
	p := n.props
	if p.MinLength == nil && p.MaxLength == nil && n.pattern == nil && n.format == "" {
		return true // without a copy of the text
	}
	s := v.Text()
	return between(utf8.RuneCountInString(s), p.MinLength, p.MaxLength) &&
		(n.pattern == nil || n.pattern.MatchString(s)) &&
		(n.format == "" || strfmt.Default.Validates(n.format, s))
}

func (n *node) allowsNumber(d decimal) bool {
	p := n.props
	if p.Minimum != nil {
		if c := d.cmp(decimalOf(*p.Minimum)); c < 0 || c == 0 && p.ExclusiveMinimum {
			return false
		}
	}
	if p.Maximum != nil {
		if c := d.cmp(decimalOf(*p.Maximum)); c > 0 || c == 0 && p.ExclusiveMaximum {
			return false
		}
	}
	if p.MultipleOf != nil && !d.multipleOf(decimalOf(*p.MultipleOf)) {
		return false
	}
	switch p.Format {
	case "int32":
		i, ok := d.int64()
		return ok && i >= math.MinInt32 && i <= math.MaxInt32
	case "int64":
		_, ok := d.int64()
		return ok
	case "float":
		d.neg = false
		return d.cmp(decimalOf(math.MaxFloat32)) <= 0
	default:
		return true
	}
}

// allowsRepeats checks uniqueItems and x-kubernetes-list-type.
func (n *node) allowsRepeats(v strictjson.Value) bool {
	var identity func(strictjson.Value) string
	switch {
	case isSet(n.props):
		identity = canonical
	case isListMap(n.props):
		identity = func(e strictjson.Value) string { return listMapKey(e, n.props.XListMapKeys) }
	default:
		return true
	}
	seen := map[string]bool{}
	for e := range v.Elements() {
		id := identity(e)
		if seen[id] {
			return false
		}
		seen[id] = true
	}
	return true
}

// listMapKey returns the canonical form of the members that identify e in a list
// that is a map.
func listMapKey(e strictjson.Value, keys []string) string {
	var b strings.Builder
	for _, key := range keys {
		if value, ok := e.Member(key); ok {
			writeCanonical(&b, value)
		}
		b.WriteByte(';')
	}
	return b.String()
}
