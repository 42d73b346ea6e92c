// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// assert checks the keywords that are about a value itself, and the names in it: first
// its type, then what is missing in it, then everything else.
func (w *walk) assert(all []*node, v strictjson.Value) *Violation {
	var typ any // for an expectation of a schema that has none of its own
	for _, n := range all {
		if !n.allowsType(v) {
			return w.refused(n, typ)
		}
		if typ == nil {
			typ = n.keywords["type"]
		}
	}
	for _, n := range all {
		if violation := w.missing(n, v); violation != nil {
			return violation
		}
	}
	for _, n := range all {
		if !w.allows(n, v) {
			return w.refused(n, typ)
		}
		if n.PropertyNames == nil {
			continue
		}
		for key := range v.Keys() {
			if !w.accepts(n.PropertyNames, key) {
				return w.violation(errorcode.UnrecognizedInput, nil, member(key.Text()))
			}
		}
	}
	return nil
}

// refused returns the violation of a value by a schema. A member that must not exist
// is one that is not known.
func (w *walk) refused(n *node, typ any) *Violation {
	if n.Bool != nil && len(w.path) > 0 && w.path[len(w.path)-1].index < 0 {
		return w.violation(errorcode.UnrecognizedInput, nil)
	}
	return w.violation(errorcode.InvalidInput, n.wants(typ))
}

// missing returns the violation of an object that lacks a property.
func (w *walk) missing(n *node, v strictjson.Value) *Violation {
	if v.Kind() != object {
		return nil
	}
	lacks := func(keys []string) *Violation {
		for _, key := range keys {
			w.steps--
			if _, ok := v.Member(key); !ok {
				return w.violation(errorcode.MissingInput, nil, member(key))
			}
		}
		return nil
	}
	if violation := lacks(n.Required); violation != nil || n.DependentRequired == nil {
		return violation
	}
	for key := range v.Members() {
		if violation := lacks(n.DependentRequired[key]); violation != nil {
			return violation
		}
	}
	return nil
}

// allowsType reports whether a value has one of the node's types.
func (n *node) allowsType(v strictjson.Value) bool {
	if n.Bool != nil {
		return *n.Bool
	}
	return n.types == nil || slices.ContainsFunc(n.types, func(name string) bool {
		switch kind := v.Kind(); name {
		case "object":
			return kind == object
		case "array":
			return kind == array
		case "string":
			return kind == text
		case "number":
			return kind == number
		case "integer":
			return kind == number && parseDecimal(v.Text()).integer()
		case "boolean":
			return kind == 't' || kind == 'f'
		default:
			return kind == null
		}
	})
}

// allowsConstant reports whether a value is one of the node's constants, if it has any.
func (w *walk) allowsConstant(n *node, v strictjson.Value) bool {
	return n.constants == nil || w.satisfies(n.constants, v)
}

// allows checks the node's constants and bounds.
func (w *walk) allows(n *node, v strictjson.Value) bool {
	kind := v.Kind()
	if kind == object && !between(v.Len(), n.MinProperties, n.MaxProperties) {
		return false
	}
	if kind == array && !between(v.Len(), n.MinItems, n.MaxItems) {
		return false
	}
	if p, ok := n.Pattern.(*pattern); ok && kind == text {
		w.steps -= p.steps(len(v.Raw()))
	}
	return w.allowsConstant(n, v) && (n.bounds == nil || w.satisfies(n.bounds, v))
}

func between(n int, minimum, maximum *int) bool {
	return (minimum == nil || n >= *minimum) && (maximum == nil || n <= *maximum)
}

const (
	// bytesPerStep is how many bytes of a value the library gets in a step.
	bytesPerStep = 2
	// stepsPerCall is the work of the library for a short value.
	stepsPerCall = 10
)

// satisfies lets the library check the keywords of one schema that are about the value
// itself.
func (w *walk) satisfies(s *jsonschema.Schema, v strictjson.Value) bool {
	w.steps -= stepsPerCall + len(v.Raw())/bytesPerStep
	return w.steps >= 0 && s.Validate(plain(v, bounded)) == nil
}
