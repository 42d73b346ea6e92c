// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"pgregory.net/rapid"

	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

var leaves = []string{
	`true`, `false`, `{}`, `{"type":"string"}`, `{"type":["string","null"],"minLength":1,"maxLength":2}`, `{"enum":["a","b",1,{"a":1}]}`,
	`{"const":[1]}`, `{"pattern":"^a","not":{"const":"ab"}}`, `{"type":"integer","minimum":1,"maximum":3}`,
	`{"type":"number","exclusiveMinimum":0,"multipleOf":2}`, `{"type":"boolean"}`, `{"type":["integer","string"]}`, `{"type":"array","uniqueItems":true}`,
	`{"type":"object","additionalProperties":true,"properties":{"a":{"type":"object","properties":{"b":{"type":"integer"}}}}}`,
	`{"$ref":"#/$defs/r"}`, `{"type":"object","required":["b"]}`, `{"contains":{"type":"integer"},"minContains":0,"maxContains":1}`,
}

func schemas(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if depth == 0 || rapid.IntRange(0, 3).Draw(t, "shape") == 0 {
			return rapid.SampledFrom(leaves).Draw(t, "leaf")
		}
		inner := schemas(depth - 1)
		one := func() string { return inner.Draw(t, "inner") }
		switch rapid.IntRange(0, 8).Draw(t, "container") {
		case 0:
			return `{"maxItems":2,"items":` + one() + `}`
		case 1:
			return `{"maxProperties":2,"additionalProperties":` + one() + `}`
		case 2:
			return `{"prefixItems":[` + one() + `],"unevaluatedItems":` + one() + `}`
		case 3:
			return `{"if":` + one() + `,"then":` + one() + `,"else":` + one() + `}`
		case 4:
			return `{"patternProperties":{"a":` + one() + `},"propertyNames":` + one() + `,"dependentSchemas":{"b":` + one() + `}}`
		case 5:
			return `{"unevaluatedProperties":` + one() + `,"anyOf":[` + one() + `,` + one() + `]}`
		case 6:
			return `{"unevaluatedItems":false,"contains":` + one() + `,"anyOf":[` + one() + `,` + one() + `]}`
		default:
			keyword := rapid.SampledFrom([]string{"allOf", "anyOf", "oneOf"}).Draw(t, "keyword")
			return `{"properties":{"a":` + one() + `,"b":` + one() + `},"` + keyword + `":[` + one() + `,` + one() + `],"not":` + one() + `}`
		}
	})
}

func documents(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 6
		if depth == 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]string{"", "a", "ab", "abc", "é"}).Draw(t, "string")
		case 1:
			return rapid.SampledFrom([]any{0, 1, 2, 3, 4, 0.5, 1.5, -1}).Draw(t, "number")
		case 2:
			return rapid.Bool().Draw(t, "bool")
		case 3:
			return nil
		case 4:
			return rapid.SliceOfN(documents(depth-1), 0, 3).Draw(t, "array")
		default:
			return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), documents(depth-1), 0, 3).Draw(t, "object")
		}
	})
}

// With open objects, our walk accepts exactly what the library accepts.
func TestWalkAgreesWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := `{"$defs":{"r":{"type":"object","properties":{"a":{"$ref":"#/$defs/r"},"b":{"type":"integer"}}}},"allOf":[` + schemas(3).Draw(t, "schema") + `]}`
		document, err := json.Marshal(map[string]any{"v": documents(3).Draw(t, "document")})
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := schema.CompileOpen([]byte(text))
		if err != nil {
			t.Fatalf("Compile(%s): %v", text, err)
		}
		wrapped, err := strictjson.Parse(document)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := wrapped.Member("v")
		got := compiled.Validate(v)
		if want := libraryAccepts(t, []byte(text), v.Raw()); (got == nil) != want {
			t.Fatalf("schema %s\ndocument %s\nthe library accepts it: %t; Validate = %+v", text, document, want, got)
		}
	})
}

func libraryAccepts(t *rapid.T, text, document []byte) bool {
	var parsed [2]any
	for i, text := range [][]byte{text, document} {
		var err error
		if parsed[i], err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema:///a", parsed[0]); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("schema:///a")
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(parsed[1]) == nil
}

// Whatever the schema is, Compile returns, and a schema that it accepts can be used.
func FuzzCompile(f *testing.F) {
	for _, seed := range append(leaves, pages, union, `{"$ref":"#"}`, `{"$id":"a","$ref":"b#c"}`, `{"items":[{}],"$schema":5}`, `{"x-kubernetes-validations":[{"rule":"true"}]}`) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := schema.Compile(&apiextensionsv1.JSON{Raw: raw})
		if err != nil {
			return
		}
		input, err := strictjson.Parse([]byte(`{"a":{"a":[1,null,"x"]},"p":-1.5}`))
		if err != nil {
			t.Fatal(err)
		}
		s.Validate("input", input)
	})
}

// Whatever the value is, nothing panics and each place begins with the root.
func FuzzValidate(f *testing.F) {
	s, err := schema.Compile(&apiextensionsv1.JSON{Raw: []byte(pages)})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{`{"pages":[{"dpi":1e400}]}`, `{"source":{"data":"aGk="},"pages":[{"dpi":1,"` + strconv.Itoa(7) + `":0}]}`, `[]`, `{"a":{"a":1,"a":2}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		input, err := strictjson.Parse(raw)
		if err != nil {
			return
		}
		v := s.Validate("input", input)
		if v != nil && (len(v.Details.At) < 5 || v.Details.At[:5] != "input") {
			t.Errorf("Validate(%s) is at %q", raw, v.Details.At)
		}
	})
}
