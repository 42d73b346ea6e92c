// Package strictjson checks that bytes are exactly one JSON object that every
// later reader understands in the same way, and slices it without copying or
// reformatting. It imports no more than the standard library and jsontext, so
// that the agent can use it too.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep objects and arrays may nest, the outermost object
// counted (CONTRACT.md, section 1, POST).
const MaxDepth = 64

// Error says why data is not one strict JSON object.
type Error struct {
	// At is the place as a dotted path from the outermost object, such as
	// input.pages[1].dpi; "" means the whole. Key and Index say how it is built.
	At string
	// Offset is the byte at which the trouble shows, from 0.
	Offset int64
	// Reason says in words what is wrong. It quotes nothing of the data.
	Reason string
}

func (e *Error) Error() string {
	if e.At == "" {
		return fmt.Sprintf("at byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("%s, at byte %d: %s", e.At, e.Offset, e.Reason)
}

// CheckObject returns nil when data is one JSON object (RFC 8259) in valid
// UTF-8, surrounded by nothing but white space, without duplicate keys, nested
// at most MaxDepth deep, whose numbers are finite as float64 and whose strings
// and keys hold no NUL. Otherwise it returns an *Error about the first place
// that is not so.
func CheckObject(data []byte) error {
	c := checker{dec: jsontext.NewDecoder(bytes.NewBuffer(data)), data: data}
	if err := c.document(); err != nil {
		return err
	}
	return nil
}

// checker walks a document token by token and remembers where it is.
type checker struct {
	dec   *jsontext.Decoder
	data  []byte
	stack []frame
}

// frame is one open object or array, at the member or element that was read last.
// A path is made of frames when there is an error to tell: one for each value would
// be many times as long as the document.
type frame struct {
	array bool
	index int
	key   []byte // a part of data, with its quotes
	inKey bool   // the next token of an object is a key
}

func (c *checker) document() *Error {
	switch c.dec.PeekKind() {
	case '{':
	case 0:
		return c.syntax()
	default:
		return c.fail("must be a JSON object")
	}
	for {
		if err := c.token(); err != nil {
			return err
		}
		if len(c.stack) == 0 {
			break
		}
	}
	end := c.dec.InputOffset()
	if _, err := c.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return &Error{Offset: end, Reason: "has something after its end"}
	}
	return nil
}

// token reads the next token; a scalar is looked at as a whole.
func (c *checker) token() *Error {
	switch kind := c.dec.PeekKind(); kind {
	case '{', '[':
		if _, err := c.dec.ReadToken(); err != nil {
			return c.read(err)
		}
		c.begin()
		if len(c.stack) == MaxDepth {
			return &Error{At: path(c.stack), Offset: c.dec.InputOffset() - 1, Reason: fmt.Sprintf("is nested deeper than %d", MaxDepth)}
		}
		c.stack = append(c.stack, frame{array: kind == '[', index: -1, inKey: kind == '{'})
	case '}', ']':
		if _, err := c.dec.ReadToken(); err != nil {
			return c.read(err)
		}
		c.stack = c.stack[:len(c.stack)-1]
	case 0:
		return c.syntax()
	default:
		return c.scalar(kind)
	}
	return nil
}

// begin moves to the value that comes next.
func (c *checker) begin() {
	if len(c.stack) == 0 {
		return
	}
	f := &c.stack[len(c.stack)-1]
	if f.array {
		f.index++
	} else {
		f.inKey = true
	}
}

func (c *checker) scalar(kind jsontext.Kind) *Error {
	raw, err := c.dec.ReadValue()
	if err != nil {
		return c.read(err)
	}
	end := c.dec.InputOffset()
	start := end - int64(len(raw))
	if f := &c.stack[len(c.stack)-1]; f.inKey {
		f.key, f.inKey = c.data[start:end], false
	} else {
		c.begin()
	}
	switch {
	case kind == '"' && holdsNUL(raw):
		return &Error{At: path(c.stack), Offset: start, Reason: "holds the character U+0000"}
	case kind == '0' && !finite(raw):
		return &Error{At: path(c.stack), Offset: start, Reason: "is a number out of range"}
	}
	return nil
}

// path is the path of the key or value that was read last in the innermost frame.
func path(frames []frame) string {
	at := ""
	for _, f := range frames {
		if f.array {
			at = Index(at, f.index)
		} else {
			at = Key(at, text(f.key))
		}
	}
	return at
}

// here is the path of the member or element that was being read.
func (c *checker) here() string {
	if len(c.stack) == 0 {
		return ""
	}
	outer, f := c.stack[:len(c.stack)-1], c.stack[len(c.stack)-1]
	switch {
	case f.array:
		return Index(path(outer), f.index+1)
	case f.inKey:
		return path(outer)
	default:
		return path(c.stack)
	}
}

func (c *checker) fail(reason string) *Error {
	return &Error{At: c.here(), Offset: c.dec.InputOffset(), Reason: reason}
}

// syntax turns the error behind a token of no kind into an *Error.
func (c *checker) syntax() *Error {
	_, err := c.dec.ReadToken()
	return c.read(err)
}

func (c *checker) read(err error) *Error {
	e := c.fail("is not well-formed JSON")
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		e.Offset = s.ByteOffset
		if errors.Is(err, jsontext.ErrDuplicateName) {
			e.At = Key(path(c.stack[:len(c.stack)-1]), s.JSONPointer.LastToken())
			e.Reason = "is there twice"
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		e.Reason = "ends too early"
		if e.Offset == 0 && len(c.stack) == 0 {
			e.Reason = "is empty"
		}
	}
	return e
}

// holdsNUL says whether a raw JSON string holds U+0000, which JSON can only
// spell as an escape.
func holdsNUL(raw jsontext.Value) bool {
	return bytes.Contains(raw, []byte(`\u0000`)) && bytes.IndexByte([]byte(text(raw)), 0) >= 0
}

func finite(raw jsontext.Value) bool {
	f, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && !math.IsInf(f, 0)
}

func text(raw jsontext.Value) string {
	s, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "" // not reached: the decoder has checked it
	}
	return string(s)
}
