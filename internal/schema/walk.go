// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"cmp"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// maxSteps bounds the work for one value. A step is about 100 ns: one schema applied to
// one value. A schema that applies a few schemas to each value needs a few steps for
// each two bytes. But the choices of a recursive schema can need exponential work.
func maxSteps(v strictjson.Value) int { return 1_000_000 + 16*len(v.Raw()) }

// walk validates one value and everything in it. It ends at the first violation.
type walk struct {
	schema *Schema
	steps  int    // that are left
	root   string // the name of the outermost value in paths
	path   []step // from there to the value that is being validated
	// quiet: the question is only whether a value is valid by a schema, as JSON Schema
	// defines it. Nobody sees the violation, and objects are open.
	quiet bool
	rules evaluation
}

// impossible is the schema false.
var impossible = func() *node {
	n := &node{Schema: &jsonschema.Schema{Bool: new(false)}}
	n.spine = []*node{n}
	return n
}()

// step is the way from a value to one of its members or elements. Paths are built
// only for violations: one for each value would be many times as long as the
// document.
type step struct {
	key   string
	index int // of an element; -1 for a member
}

func member(key string) step { return step{key: key, index: -1} }
func element(i int) step     { return step{index: i} }

// invalidQuietly is the violation that nobody sees.
var invalidQuietly = &Violation{Code: errorcode.InvalidInput}

// violation returns a violation of the value that is being validated, or of what is so
// many steps below it.
func (w *walk) violation(code string, expected expectation, below ...step) *Violation {
	if w.quiet {
		return invalidQuietly
	}
	at := w.root
	for _, s := range slices.Concat(w.path, below) {
		if s.index < 0 {
			at = strictjson.Key(at, s.key)
		} else {
			at = strictjson.Index(at, s.index)
		}
	}
	return &Violation{Code: code, Details: Details{At: at, Expected: expected.json()}}
}

// application is a schema that is applied to a value, with those that it applies to
// the same value in turn: by $ref and allOf, and the choices that the value made.
type application struct {
	*node
	inPlace []*application
	// done: the value is valid by this schema. What it says about members and elements
	// still tells which of them are known.
	done bool
	// unclear: the value makes none of the choices that the schema gives it, so it is
	// not known which members it can have.
	unclear bool
	// contained are the elements that contains has matched.
	contained map[int]bool
}

func (w *walk) node(s *jsonschema.Schema) *node { return w.schema.nodes[s] }

// value validates a value by all schemas of its place.
func (w *walk) value(place []*node, v strictjson.Value) *Violation {
	top := &application{node: place[0]}
	if len(place) > 1 {
		top.node = &node{Schema: &jsonschema.Schema{}}
		for _, n := range place {
			top.inPlace = append(top.inPlace, &application{node: n})
			top.spine = append(top.spine, n.spine...)
		}
	}
	now, later := w.apply(top, v)
	for _, next := range []func(*application, strictjson.Value) *Violation{w.members, w.elements} {
		if now == nil {
			now = next(top, v)
		}
	}
	switch {
	case now != nil:
		return now
	case later != nil:
		return later
	default:
		return w.checkRules(top, v)
	}
}

// inside validates the member or element that one step leads to, by the schemas of its
// place, if it has any.
func (w *walk) inside(s step, place []*node, v strictjson.Value) *Violation {
	if len(place) == 0 {
		return nil
	}
	w.path = append(w.path, s)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	return w.value(place, v)
}

// accepts reports whether a value is valid by a schema, as JSON Schema defines it.
func (w *walk) accepts(s *jsonschema.Schema, v strictjson.Value) bool {
	n := w.node(s)
	if !w.fits(n, v) || !w.hasTags(n, v) {
		return false // without a look into the value
	}
	was := w.quiet
	w.quiet = true
	defer func() { w.quiet = was }()
	return w.value([]*node{n}, v) == nil
}

// apply applies a schema to a value: first what holds whatever the value is, then the
// choices. It returns the violation of the value itself. later is one about the value
// together with everything in it, which is only reported if the rest is valid.
func (w *walk) apply(a *application, v strictjson.Value) (now, later *Violation) {
	if w.steps -= len(a.spine); w.steps < 0 {
		return invalidQuietly, nil
	}
	if !a.done {
		if now := w.assert(a.spine, v); now != nil {
			return now, nil
		}
	}
	if a.settled && v.Kind() != object && v.Kind() != array {
		return nil, nil
	}
	for _, part := range w.expand(a, nil) {
		fixed := len(part.inPlace)
		wrong := w.choose(part, v)
		for _, choice := range part.inPlace[fixed:] {
			n, l := w.apply(choice, v)
			if n != nil {
				return n, nil
			}
			if wrong == nil {
				wrong = l
			}
		}
		if later == nil && !part.done {
			later = wrong
		}
	}
	return nil, later
}

// expand adds the schemas that $ref and allOf apply to the tree, and returns all.
func (w *walk) expand(a *application, all []*application) []*application {
	all = append(all, a)
	for _, given := range a.inPlace { // of the place
		all = w.expand(given, all)
	}
	add := func(s *jsonschema.Schema) {
		inner := &application{node: w.node(s), done: a.done}
		a.inPlace = append(a.inPlace, inner)
		all = w.expand(inner, all)
	}
	if a.Ref != nil {
		add(a.Ref)
	}
	for _, s := range a.AllOf {
		add(s)
	}
	return all
}

// choose adds the schemas that apply because of the value, and returns what is wrong
// with its choices.
func (w *walk) choose(a *application, v strictjson.Value) (wrong *Violation) {
	if a.If != nil {
		if w.accepts(a.If, v) {
			w.add(a, a.If, true)
			w.add(a, a.Then, false)
		} else {
			w.add(a, a.Else, false)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.DependentSchemas)) {
		if _, ok := v.Member(key); ok {
			w.add(a, a.DependentSchemas[key], false)
		}
	}
	if a.Not != nil && w.accepts(a.Not, v) {
		wrong = w.violation(errorcode.InvalidInput, a.only("not"))
	}
	wrong = cmp.Or(wrong, w.chooseAmong(a, "anyOf", a.AnyOf, len(a.AnyOf), v))
	wrong = cmp.Or(wrong, w.chooseAmong(a, "oneOf", a.OneOf, 1, v))
	return cmp.Or(wrong, w.contains(a, v))
}

// add adds a schema that applies to the same value. done means that the value is valid
// by it.
func (w *walk) add(a *application, s *jsonschema.Schema, done bool) {
	done = done || a.done
	if s == nil || done && w.quiet && !w.schema.unevaluated {
		return // what it describes matters to nobody
	}
	a.inPlace = append(a.inPlace, &application{node: w.node(s), done: done})
}

// chooseAmong adds the schemas that accept the value: at least one, and not more than
// most.
func (w *walk) chooseAmong(a *application, keyword string, among []*jsonschema.Schema, most int, v strictjson.Value) *Violation {
	accepted := 0
	for _, s := range among {
		if w.accepts(s, v) {
			w.add(a, s, true)
			accepted++
		}
	}
	switch {
	case among == nil || accepted > 0 && accepted <= most:
		return nil
	case accepted == 0 && !w.quiet:
		if meant := w.meant(among, v); meant != nil {
			w.add(a, meant, false) // so that the violation in it is reported
			break
		}
		a.unclear = true
	}
	return w.violation(errorcode.InvalidInput, a.only(keyword))
}

// meant returns the one schema that the value can be meant for, nil if there are
// several or none: by its type and its constants, and if that is not enough, by the
// members that tell choices apart.
func (w *walk) meant(among []*jsonschema.Schema, v strictjson.Value) *jsonschema.Schema {
	fits := slices.DeleteFunc(slices.Clone(among), func(s *jsonschema.Schema) bool { return !w.fits(w.node(s), v) })
	if len(fits) > 1 {
		fits = slices.DeleteFunc(fits, func(s *jsonschema.Schema) bool { return !w.hasTags(w.node(s), v) })
	}
	if len(fits) != 1 {
		return nil
	}
	return fits[0]
}

// fits reports whether a value has the type and the constants of a schema.
func (w *walk) fits(n *node, v strictjson.Value) bool {
	w.steps -= len(n.spine)
	return !slices.ContainsFunc(n.spine, func(part *node) bool { return !part.allowsType(v) || !w.allowsConstant(part, v) })
}

// hasTags reports whether each member that tells choices apart has the constant of a
// schema, or is not there.
func (w *walk) hasTags(n *node, v strictjson.Value) bool {
	for _, part := range n.spine {
		for _, tag := range part.tags {
			w.steps--
			if value, ok := v.Member(tag); ok && !w.allowsConstant(w.node(part.Properties[tag]), value) {
				return false
			}
		}
	}
	return true
}

// contains counts the elements that contains matches.
func (w *walk) contains(a *application, v strictjson.Value) *Violation {
	if a.Contains == nil || v.Kind() != array {
		return nil
	}
	a.contained = map[int]bool{}
	i := 0
	for e := range v.Elements() {
		if w.accepts(a.Contains, e) {
			a.contained[i] = true
		}
		i++
	}
	least := 1
	if a.MinContains != nil {
		least = *a.MinContains
	}
	if n := len(a.contained); n < least || a.MaxContains != nil && n > *a.MaxContains {
		return w.violation(errorcode.InvalidInput, a.only("contains", "minContains", "maxContains"))
	}
	return nil
}

// members validates the members of an object in their order.
func (w *walk) members(top *application, v strictjson.Value) *Violation {
	closed := !w.quiet && !w.schema.open && top.has((*application).describesObjects) &&
		!top.has(func(a *application) bool { return a.unclear })
	for key, value := range v.Members() {
		place, known := w.collect(top, nil, func(a *application) (own []*jsonschema.Schema, known bool, rest *jsonschema.Schema) {
			own, known = w.member(a.node, key)
			return own, known, a.UnevaluatedProperties
		})
		if closed && !known {
			return w.violation(errorcode.UnrecognizedInput, nil, member(key))
		}
		if violation := w.inside(member(key), place, value); violation != nil {
			return violation
		}
	}
	return nil
}

// elements validates the elements of an array in their order.
func (w *walk) elements(top *application, v strictjson.Value) *Violation {
	i := 0
	for e := range v.Elements() {
		place, _ := w.collect(top, nil, func(a *application) (own []*jsonschema.Schema, known bool, rest *jsonschema.Schema) {
			switch {
			case i < len(a.PrefixItems):
				own = a.PrefixItems[i : i+1]
			case a.Items2020 != nil:
				own = []*jsonschema.Schema{a.Items2020}
			}
			return own, a.contained[i], a.UnevaluatedItems
		})
		if violation := w.inside(element(i), place, e); violation != nil {
			return violation
		}
		i++
	}
	return nil
}

// has reports whether something is true for an application or one of those in it.
func (a *application) has(property func(*application) bool) bool {
	return property(a) || slices.ContainsFunc(a.inPlace, func(inner *application) bool { return inner.has(property) })
}

// collect adds the schemas of a member or element to place. known reports whether it is
// described. For each application, about returns its own schemas, whether they describe
// it without a schema, and the schema of all that is not described.
func (w *walk) collect(a *application, place []*node, about func(*application) ([]*jsonschema.Schema, bool, *jsonschema.Schema)) (_ []*node, known bool) {
	w.steps--
	own, known, rest := about(a)
	known = known || len(own) > 0
	for _, inner := range a.inPlace {
		var knownToo bool
		place, knownToo = w.collect(inner, place, about)
		known = known || knownToo
	}
	if !known && rest != nil {
		own, known = []*jsonschema.Schema{rest}, true
	}
	if !a.done || !w.quiet {
		for _, s := range own {
			place = append(place, w.node(s))
		}
	}
	return place, known
}

// member returns the schemas of a node for a member, and whether it allows the member
// without one.
func (w *walk) member(n *node, key string) (schemas []*jsonschema.Schema, known bool) {
	if s := n.Properties[key]; s != nil {
		schemas = append(schemas, s)
	}
	for _, p := range n.patterns {
		if w.steps -= 1 + p.steps(len(key)); w.steps >= 0 && p.MatchString(key) {
			schemas = append(schemas, p.schema)
		}
	}
	if len(schemas) > 0 {
		return schemas, true
	}
	switch additional := n.AdditionalProperties.(type) {
	case *jsonschema.Schema:
		return []*jsonschema.Schema{additional}, true
	case bool:
		if !additional {
			return []*jsonschema.Schema{impossible.Schema}, true
		}
		return nil, true
	default:
		return nil, false
	}
}
