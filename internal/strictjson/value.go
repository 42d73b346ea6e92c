// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// document is a text with the places of its values and keys, in the order of the
// text.
type document struct {
	data  []byte
	nodes []node
}

// node is the place of one value or key.
type node struct {
	start, end uint32 // in the text
	next       uint32 // the node behind this one and everything in it
}

// Value is a value or a key in a text that was parsed. Values are small and are
// passed by value. Only a Value that comes from this package is valid.
type Value struct {
	*document
	index uint32
}

// Kind returns the kind of the value: of an object, array, string, number, true,
// false or null.
func (v Value) Kind() jsontext.Kind {
	switch c := v.data[v.nodes[v.index].start]; c {
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return jsontext.KindNumber
	default:
		return jsontext.Kind(c)
	}
}

// Raw returns the value exactly as it is in the text, without the white space
// around it. It shares memory with the text.
func (v Value) Raw() []byte {
	n := v.nodes[v.index]
	return v.data[n.start:n.end:n.end]
}

// Text returns a string without quotes and escapes, and any other value as Raw
// does.
func (v Value) Text() string {
	raw := v.Raw()
	if v.Kind() == jsontext.KindString {
		return unquote(raw)
	}
	return string(raw)
}

// Members yields the keys and values of an object, in the order of the text. A
// value of another kind has none.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for key, value := range v.members() {
			if !yield(key.Text(), value) {
				return
			}
		}
	}
}

// Keys yields the keys of an object, in the order of the text.
func (v Value) Keys() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for key := range v.members() {
			if !yield(key) {
				return
			}
		}
	}
}

// Member returns the value of the member called name, and whether there is one.
func (v Value) Member(name string) (Value, bool) {
	for key, value := range v.members() {
		if key.equals(name) {
			return value, true
		}
	}
	return Value{}, false
}

// Elements yields the elements of an array. A value of another kind has none.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != jsontext.KindBeginArray {
			return
		}
		for i := v.index + 1; i < v.nodes[v.index].next; i = v.nodes[i].next {
			if !yield(Value{v.document, i}) {
				return
			}
		}
	}
}

// Len returns the number of members or elements.
func (v Value) Len() int {
	n := 0
	for range v.members() {
		n++
	}
	for range v.Elements() {
		n++
	}
	return n
}

func (v Value) members() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		if v.Kind() != jsontext.KindBeginObject {
			return
		}
		for key := v.index + 1; key < v.nodes[v.index].next; key = v.nodes[key+1].next {
			if !yield(Value{v.document, key}, Value{v.document, key + 1}) {
				return
			}
		}
	}
}

// equals reports whether a key is name.
func (v Value) equals(name string) bool {
	raw := v.Raw()
	if bytes.IndexByte(raw, '\\') >= 0 {
		return unquote(raw) == name
	}
	return string(raw[1:len(raw)-1]) == name
}

// unquote returns the content of a raw JSON string that the decoder accepted.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		panic("strictjson: unquote a string that was not checked: " + err.Error())
	}
	return string(text)
}
