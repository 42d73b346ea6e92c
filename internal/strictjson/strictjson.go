// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package strictjson reads text that must be exactly one JSON object which every
// later reader understands in the same way. It checks the text and slices it in
// one pass, without copying or reformatting it. It imports only the standard
// library and jsontext, so that the agent stays small.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep objects and arrays may nest. The outermost object counts
// as 1 (docs/contract.md, section 1, POST).
const MaxDepth = 64

// NotAnObject is the Reason of an Error about a text that is some other value
// than an object.
const NotAnObject = "must be a JSON object"

// Error describes why a text is not one strict JSON object.
type Error struct {
	// At is the place of the error as a path from the outermost object, such as
	// input.pages[1].dpi; "" means the object itself. See Key and Index.
	At string
	// Offset is the byte at which the error was found, from 0.
	Offset int64
	// Reason completes a sentence about the place. It quotes nothing of the text.
	Reason string
}

func (e *Error) Error() string {
	if e.At == "" {
		return fmt.Sprintf("at byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("%s, at byte %d: %s", e.At, e.Offset, e.Reason)
}

// CheckObject returns nil if data is one JSON object (RFC 8259) in valid UTF-8
// with these properties:
//   - no object has the same key twice
//   - objects and arrays nest at most MaxDepth deep
//   - each number is finite as a float64
//   - no string and no key contains U+0000
//   - only white space precedes and follows the object
//
// Otherwise it returns an *Error about the first violation.
func CheckObject(data []byte) error {
	_, err := parse(data, keepNothing)
	return err
}

// Parse checks data as CheckObject does and returns the object with everything
// in it. The value shares memory with data. It takes ParseBytes more.
func Parse(data []byte) (Value, error) { return parse(data, MaxDepth) }

// ParseMembers is Parse for callers that need only the members of the outermost
// object. The values of the members are known by Kind and Raw alone.
func ParseMembers(data []byte) (Value, error) { return parse(data, 1) }

// keepNothing is a level that no value has.
const keepNothing = -1

// parser reads a text token by token. The decoder knows where it is: paths are
// built only for errors, because one for each value would be many times as long
// as the text.
type parser struct {
	dec  *jsontext.Decoder
	data []byte

	// The values on the levels up to keep are kept. The outermost object is on
	// level 0, its members are on level 1.
	keep  int
	nodes []node
	open  [MaxDepth]uint32 // the objects and arrays that have not ended, by level
}

func parse(data []byte, keep int) (Value, error) {
	if len(data) > math.MaxUint32 {
		return Value{}, &Error{Reason: "is larger than 4 GiB"}
	}
	p := parser{dec: jsontext.NewDecoder(bytes.NewBuffer(data)), data: data, keep: keep}
	if keep == MaxDepth {
		p.nodes = make([]node, 0, maxNodes(data))
	}
	if err := p.document(); err != nil {
		return Value{}, err
	}
	if keep == keepNothing {
		return Value{}, nil
	}
	return Value{document: &document{data, p.nodes}}, nil
}

// nodeBytes is the size of a node.
const nodeBytes = 12

// ParseBytes returns the memory that Parse takes, in bytes: 12 for each value and key that
// data can have, at most 6 for each byte of data.
func ParseBytes(data []byte) int64 { return nodeBytes * int64(maxNodes(data)) }

// maxNodes returns a bound on the number of values and keys in data. Each takes two bytes or
// more, with what separates it from the next one.
func maxNodes(data []byte) int {
	n := 1
	for _, separator := range []string{",", ":", "{", "["} {
		n += bytes.Count(data, []byte(separator))
	}
	return min(n, len(data)/2+1)
}

func (p *parser) document() *Error {
	switch p.dec.PeekKind() {
	case jsontext.KindBeginObject:
	case jsontext.KindInvalid:
		return p.syntaxError()
	default:
		return p.errorf(NotAnObject)
	}
	for {
		if err := p.token(); err != nil {
			return err
		}
		if p.dec.StackDepth() == 0 {
			break
		}
	}
	end := len(p.data) - len(bytes.TrimLeft(p.data[p.dec.InputOffset():], whiteSpace))
	if end < len(p.data) {
		return &Error{Offset: int64(end), Reason: "has something after its end"}
	}
	return nil
}

// token reads one bracket, key or scalar.
func (p *parser) token() *Error {
	switch kind := p.dec.PeekKind(); kind {
	case jsontext.KindBeginObject, jsontext.KindBeginArray:
		if _, err := p.dec.ReadToken(); err != nil {
			return p.wrap(err)
		}
		start, level := p.dec.InputOffset()-1, p.dec.StackDepth()-1
		if level == MaxDepth {
			return &Error{At: p.path(false), Offset: start, Reason: fmt.Sprintf("is nested deeper than %d", MaxDepth)}
		}
		if level <= p.keep {
			p.open[level] = uint32(len(p.nodes))
			p.nodes = append(p.nodes, node{start: uint32(start)})
		}
	case jsontext.KindEndObject, jsontext.KindEndArray:
		if _, err := p.dec.ReadToken(); err != nil {
			return p.wrap(err)
		}
		if level := p.dec.StackDepth(); level <= p.keep {
			n := &p.nodes[p.open[level]]
			n.end, n.next = uint32(p.dec.InputOffset()), uint32(len(p.nodes))
		}
	case jsontext.KindInvalid:
		return p.syntaxError()
	default:
		return p.scalar(kind)
	}
	return nil
}

func (p *parser) scalar(kind jsontext.Kind) *Error {
	raw, err := p.dec.ReadValue()
	if err != nil {
		return p.wrap(err)
	}
	end := p.dec.InputOffset()
	start := end - int64(len(raw))
	switch {
	case kind == jsontext.KindString && containsNUL(raw):
		return &Error{At: p.path(false), Offset: start, Reason: "holds the character U+0000"}
	case kind == jsontext.KindNumber && !finite(raw):
		return &Error{At: p.path(false), Offset: start, Reason: "is a number out of range"}
	}
	if p.dec.StackDepth() <= p.keep {
		p.nodes = append(p.nodes, node{start: uint32(start), end: uint32(end), next: uint32(len(p.nodes)) + 1})
	}
	return nil
}

// path returns the path of the key or value that was read last; with next, of the
// one that must come next. The path of a key that must come next is its object's.
func (p *parser) path(next bool) string {
	at, depth := "", p.dec.StackDepth()
	tokens := slices.Collect(p.dec.StackPointer().Tokens())
	for level := 1; level <= depth; level++ {
		kind, length := p.dec.StackIndex(level) // the length of an object counts its keys, too
		innermost := level == depth
		switch {
		case innermost && !next && length == 0:
			return at
		case kind == jsontext.KindBeginArray && innermost && next:
			at = Index(at, int(length))
		case kind == jsontext.KindBeginArray:
			at = Index(at, int(length)-1)
		case innermost && next && length%2 == 0:
			return at
		default:
			at = Key(at, tokens[level-1])
		}
	}
	return at
}

// errorf returns an error about what must come next.
func (p *parser) errorf(reason string) *Error {
	return &Error{At: p.path(true), Offset: p.dec.InputOffset(), Reason: reason}
}

// syntaxError returns the error that made the decoder see an invalid token.
func (p *parser) syntaxError() *Error {
	_, err := p.dec.ReadToken()
	return p.wrap(err)
}

// wrap turns an error of the decoder into an Error.
func (p *parser) wrap(err error) *Error {
	e := p.errorf(notWellFormed)
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		e.Offset, e.Reason = s.ByteOffset, reason(p.data, s.ByteOffset)
		if errors.Is(err, jsontext.ErrDuplicateName) {
			e.At = Key(e.At, s.JSONPointer.LastToken())
			e.Reason = "is there twice"
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		e.Reason = "ends too early"
		if e.Offset == 0 && p.dec.StackDepth() == 0 {
			e.Reason = "is empty"
		}
	}
	return e
}

// containsNUL reports whether a raw JSON string contains U+0000. JSON can only
// write it as an escape.
func containsNUL(raw []byte) bool {
	return bytes.Contains(raw, []byte(`\u0000`)) && bytes.IndexByte([]byte(unquote(raw)), 0) >= 0
}

// finite reports whether a raw JSON number is within the range of a float64.
func finite(raw []byte) bool {
	const maxDigits = 300 // of a float64's 309
	if len(raw) <= maxDigits && bytes.IndexByte(raw, 'e') < 0 && bytes.IndexByte(raw, 'E') < 0 {
		return true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && !math.IsInf(f, 0)
}
