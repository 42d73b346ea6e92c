package schema

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// The kinds of JSON values, as jsontext names them.
const (
	object = jsontext.KindBeginObject
	array  = jsontext.KindBeginArray
	text   = jsontext.KindString
	number = jsontext.KindNumber
	null   = jsontext.KindNull
)

// value is a JSON value that keeps the order of its members and the digits of
// its numbers.
type value struct {
	kind     jsontext.Kind
	text     string // of a string, or of a number
	members  []member
	elements []value
}

type member struct {
	key   string
	value value
}

// decode reads one JSON value that strictjson has found to be sound.
func decode(raw []byte) (value, error) {
	return decodeNext(jsontext.NewDecoder(bytes.NewBuffer(raw)))
}

func decodeNext(dec *jsontext.Decoder) (value, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return value{}, err
	}
	v := value{kind: token.Kind()}
	switch v.kind {
	case text, number:
		v.text = token.String()
	case object:
		for dec.PeekKind() != jsontext.KindEndObject {
			name, err := dec.ReadToken()
			if err != nil {
				return value{}, err
			}
			key := name.String()
			inner, err := decodeNext(dec)
			if err != nil {
				return value{}, err
			}
			v.members = append(v.members, member{key, inner})
		}
		_, err = dec.ReadToken()
	case array:
		for dec.PeekKind() != jsontext.KindEndArray {
			inner, err := decodeNext(dec)
			if err != nil {
				return value{}, err
			}
			v.elements = append(v.elements, inner)
		}
		_, err = dec.ReadToken()
	default: // the kind says it all
	}
	return v, err
}

// has says whether an object has a member called key.
func (v value) has(key string) bool {
	return slices.ContainsFunc(v.members, func(m member) bool { return m.key == key })
}

// canonical is a text that two values share exactly when they are equal as JSON:
// regardless of the order of members and of how numbers are written.
func (v value) canonical() string {
	var b strings.Builder
	v.writeCanonical(&b)
	return b.String()
}

func (v value) writeCanonical(b *strings.Builder) {
	switch v.kind {
	case object:
		members := slices.SortedFunc(slices.Values(v.members), func(x, y member) int { return strings.Compare(x.key, y.key) })
		b.WriteByte('{')
		for _, m := range members {
			b.WriteString(strconv.Quote(m.key))
			m.value.writeCanonical(b)
		}
		b.WriteByte('}')
	case array:
		b.WriteByte('[')
		for _, e := range v.elements {
			e.writeCanonical(b)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case text:
		b.WriteString(strconv.Quote(v.text))
	case number:
		b.WriteString(parseDecimal(v.text).String())
	default:
		b.WriteString(v.kind.String())
	}
}

// unstructured is the value as the Kubernetes libraries know it. The schema
// decides whether a number is an integer or a float.
func (v value) unstructured(s *structural.Structural) any {
	if s == nil {
		s = &structural.Structural{}
	}
	switch v.kind {
	case object:
		m := make(map[string]any, len(v.members))
		for _, mem := range v.members {
			m[mem.key] = mem.value.unstructured(property(s, mem.key))
		}
		return m
	case array:
		list := make([]any, len(v.elements))
		for i, e := range v.elements {
			list[i] = e.unstructured(s.Items)
		}
		return list
	case text:
		return v.text
	case number:
		if i, ok := parseDecimal(v.text).int64(); ok && s.Type != "number" {
			return i
		}
		f, err := strconv.ParseFloat(v.text, 64)
		if err != nil {
			return nil // not reached: strictjson refuses such numbers
		}
		return f
	case null:
		return nil
	default:
		return v.kind == jsontext.KindTrue
	}
}

func property(s *structural.Structural, key string) *structural.Structural {
	if p, ok := s.Properties[key]; ok {
		return &p
	}
	if s.AdditionalProperties != nil {
		return s.AdditionalProperties.Structural
	}
	return nil
}
