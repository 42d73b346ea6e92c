package schema

import (
	"math"
	"strings"
	"unicode/utf8"

	"k8s.io/kube-openapi/pkg/validation/strfmt"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// check is one walk over a value. It ends at the first violation.
type check struct {
	budget int64 // what rules may still cost
}

// spot is a place in the document. It becomes a path when there is something to
// say about it: one for each value would be many times as long as the document.
type spot struct {
	above *spot
	key   string // of the outermost spot, its name
	index int    // of an element; -1 for a member
}

func (s *spot) path() string {
	switch {
	case s.above == nil:
		return s.key
	case s.index < 0:
		return strictjson.Key(s.above.path(), s.key)
	default:
		return strictjson.Index(s.above.path(), s.index)
	}
}

func (s *spot) member(key string) *spot { return &spot{above: s, key: key, index: -1} }
func (s *spot) element(i int) *spot     { return &spot{above: s, index: i} }

func invalid(at *spot, expected expectation) *Violation {
	return &Violation{Code: errorcode.InvalidInput, Details: Details{At: at.path(), Expected: expected.json()}}
}

// value holds v against all the nodes that are about its place, and what their
// allOf adds; the first of them is the one with a spine, if there is one.
func (c *check) value(about []*node, v value, at *spot) *Violation {
	nodes := about
	if v.kind != null { // which allOf is not about
		nodes = nil
		for _, n := range about {
			nodes = append(nodes, n.all()...)
		}
	}
	typ := nodes[0].typ()
	for _, n := range nodes {
		if !n.allowsType(v) {
			return invalid(at, n.wants(n.typ()))
		}
	}
	if v.kind == object {
		for _, n := range nodes {
			for _, key := range n.props.Required {
				if !v.has(key) {
					return &Violation{Code: errorcode.MissingInput, Details: Details{At: at.member(key).path()}}
				}
			}
		}
	}
	for _, n := range nodes {
		if !n.allowsValue(v) {
			return invalid(at, n.wants(typ))
		}
	}
	if violation := c.inside(nodes, v, at); violation != nil {
		return violation
	}
	for _, n := range nodes {
		if violation := c.whole(n, v, at); violation != nil {
			return violation
		}
	}
	return nil
}

// inside holds the members or elements of v against the nodes, in order.
func (c *check) inside(nodes []*node, v value, at *spot) *Violation {
	for _, m := range v.members {
		place := at.member(m.key)
		inner, known := members(nodes, m.key)
		if !known {
			return &Violation{Code: errorcode.UnrecognizedInput, Details: Details{At: place.path()}}
		}
		if len(inner) == 0 {
			continue
		}
		if violation := c.value(inner, m.value, place); violation != nil {
			return violation
		}
	}
	var items []*node
	for _, n := range nodes {
		if n.items != nil {
			items = append(items, n.items)
		}
	}
	for i, e := range v.elements {
		if len(items) == 0 {
			break
		}
		if violation := c.value(items, e, at.element(i)); violation != nil {
			return violation
		}
	}
	return nil
}

// members returns the nodes about the member key, and whether it is known. A
// member is known when the spine names it or keeps what it does not name;
// where there is no spine, everything is.
func members(nodes []*node, key string) (inner []*node, known bool) {
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

// whole checks what is about v together with everything inside it.
func (c *check) whole(n *node, v value, at *spot) *Violation {
	if v.kind == null {
		return nil
	}
	matches := func(sub *node) bool { return c.value([]*node{sub}, v, at) == nil }
	count := func(subs []*node) (matched int) {
		for _, sub := range subs {
			if matches(sub) {
				matched++
			}
		}
		return matched
	}
	switch {
	case len(n.anyOf) > 0 && count(n.anyOf) == 0:
		return invalid(at, expectation{AnyOf: n.props.AnyOf})
	case len(n.oneOf) > 0 && count(n.oneOf) != 1:
		return invalid(at, expectation{OneOf: n.props.OneOf})
	case n.not != nil && matches(n.not):
		return invalid(at, expectation{Not: n.props.Not})
	}
	if len(n.rules) == 0 {
		return nil
	}
	return c.rules(n, v, at)
}

// allowsType says whether v is of the node's type, if it has one.
func (n *node) allowsType(v value) bool {
	if v.kind == null && n.spine != nil {
		return n.props.Nullable || n.typ() == nil
	}
	if n.props.XIntOrString {
		return v.kind == text || v.kind == number && parseDecimal(v.text).integer()
	}
	switch n.props.Type {
	case "":
		return true
	case "object":
		return v.kind == object
	case "array":
		return v.kind == array
	case "string":
		return v.kind == text
	case "number":
		return v.kind == number
	case "integer":
		return v.kind == number && parseDecimal(v.text).integer()
	case "boolean":
		return v.kind == 't' || v.kind == 'f'
	default:
		return false
	}
}

// allowsValue checks the node's bounds on v itself. As in JSON Schema, bounds
// for another type than v's do not apply.
func (n *node) allowsValue(v value) bool {
	p := n.props
	if n.enum != nil && !n.enum[v.canonical()] {
		return false
	}
	switch v.kind {
	case object:
		return between(len(v.members), p.MinProperties, p.MaxProperties)
	case array:
		return between(len(v.elements), p.MinItems, p.MaxItems) && n.allowsRepeats(v)
	case text:
		return between(utf8.RuneCountInString(v.text), p.MinLength, p.MaxLength) &&
			(n.pattern == nil || n.pattern.MatchString(v.text)) &&
			(n.format == "" || strfmt.Default.Validates(n.format, v.text))
	case number:
		return n.allowsNumber(parseDecimal(v.text))
	default:
		return true
	}
}

func between(n int, least, most *int64) bool {
	return (least == nil || int64(n) >= *least) && (most == nil || int64(n) <= *most)
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
func (n *node) allowsRepeats(v value) bool {
	var identity func(value) string
	switch {
	case isSet(n.props):
		identity = value.canonical
	case isListMap(n.props):
		identity = func(e value) string { return keyOf(e, n.props.XListMapKeys) }
	default:
		return true
	}
	seen := make(map[string]bool, len(v.elements))
	for _, e := range v.elements {
		id := identity(e)
		if seen[id] {
			return false
		}
		seen[id] = true
	}
	return true
}

// keyOf is the canonical form of the members of e that identify it in a list
// that is a map.
func keyOf(e value, keys []string) string {
	var b strings.Builder
	for _, key := range keys {
		for _, m := range e.members {
			if m.key == key {
				m.value.writeCanonical(&b)
			}
		}
		b.WriteByte(';')
	}
	return b.String()
}
