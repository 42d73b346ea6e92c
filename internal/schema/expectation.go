// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
)

// expectation is what the schema expects of one value: keywords in the order in which
// people read them.
type expectation []keyword

type keyword struct {
	name  string
	value any
}

// bounds are the keywords that describe one value without what is in it.
var bounds = []string{
	"format", "pattern", "minLength", "maxLength", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf",
	"minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
}

// wants returns the expectation of a node: its constants, which are enough, or else its
// type with all its bounds. typ is the type if the node itself has none.
func (n *node) wants(typ any) expectation {
	switch {
	case n.Bool != nil:
		return expectation{{"not", struct{}{}}}
	case n.keywords["enum"] != nil:
		return n.only("enum")
	case n.Const != nil:
		return n.only("const")
	}
	var all expectation
	if own, ok := n.keywords["type"]; ok {
		typ = own
	}
	if typ != nil {
		all = expectation{{"type", typ}}
	}
	return append(all, n.only(bounds...)...)
}

// only returns the expectation that has some of the keywords of a node.
func (n *node) only(names ...string) (all expectation) {
	for _, name := range names {
		if value, ok := n.keywords[name]; ok {
			all = append(all, keyword{name, value})
		}
	}
	return all
}

// message adds a message for people, if there is one.
func (e expectation) message(text string) expectation {
	if text == "" {
		return e
	}
	return append(e, keyword{"message", text})
}

// json returns the expectation as a JSON object, nil if there is none.
func (e expectation) json() json.RawMessage {
	if e == nil {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // rules often contain < and &&
	write := func(separator byte, value any) {
		b.WriteByte(separator)
		if err := enc.Encode(value); err != nil {
			panic("schema: encode what was decoded from JSON: " + err.Error())
		}
		b.Truncate(b.Len() - 1) // the newline
	}
	for i, k := range e {
		write("{,"[min(i, 1)], k.name)
		write(':', k.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}
