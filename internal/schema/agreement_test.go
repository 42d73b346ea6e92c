// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/pb33f/jsonschema/v6"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"pgregory.net/rapid"

	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

var leaves = []string{
	`{"type":"string"}`,
	`{"type":"string","minLength":1,"maxLength":2,"nullable":true}`,
	`{"type":"string","enum":["a","b"]}`,
	`{"type":"string","enum":["a","b"],"nullable":true}`,
	`{"type":"string","nullable":true,"anyOf":[{"enum":["a"]},{"minLength":2}],"not":{"maxLength":1}}`,
	`{"type":"string","pattern":"^a","not":{"enum":["ab"]}}`,
	`{"type":"integer","minimum":1,"maximum":3}`,
	`{"type":"number","exclusiveMinimum":true,"minimum":0,"multipleOf":2}`,
	`{"type":"boolean"}`,
	`{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]}`,
	`{"x-kubernetes-int-or-string":true,"nullable":true}`,
	`{"x-kubernetes-int-or-string":true,"nullable":true,"anyOf":[{"type":"integer"},{"type":"string"}]}`,
	`{"x-kubernetes-preserve-unknown-fields":true}`,
	`{"type":"array","x-kubernetes-preserve-unknown-fields":true,"items":{"type":"object","properties":{"a":{"type":"object"}}}}`,
	`{"type":"array","x-kubernetes-preserve-unknown-fields":true,"items":{"type":"array","items":{"type":"object"}}}`,
	`{"type":"array","x-kubernetes-list-type":"set","items":{"type":"number"}}`,
	`{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"a":{"type":"object","properties":{"b":{"type":"integer"}}}}}`,
}

func schemas(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if depth == 0 || rapid.IntRange(0, 2).Draw(t, "shape") == 0 {
			return rapid.SampledFrom(leaves).Draw(t, "leaf")
		}
		inner := schemas(depth - 1)
		switch rapid.IntRange(0, 2).Draw(t, "container") {
		case 0:
			return `{"type":"array","maxItems":2,"items":` + inner.Draw(t, "items") + `}`
		case 1:
			return `{"type":"object","maxProperties":2,"additionalProperties":` + inner.Draw(t, "values") + `}`
		default:
			more := rapid.SampledFrom([]string{
				`"required":["a"]`, `"minProperties":1`, `"nullable":true`, `"oneOf":[{"required":["a"]},{"required":["b"]}]`,
				`"anyOf":[{"properties":{"a":{"enum":["a",1]}}},{"required":["b"]}]`, `"allOf":[{"properties":{"a":{"minimum":2,"maxLength":1}}}]`,
				`"allOf":[{"properties":{"a":{"enum":["a",1,{"b":1}]}}}]`, `"not":{"properties":{"a":{"enum":["a",1]}}}`,
			}).Draw(t, "more")
			return `{"type":"object","properties":{"a":` + inner.Draw(t, "a") + `,"b":` + inner.Draw(t, "b") + `},` + more + `}`
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

// On documents and bounds without numbers that Kubernetes rounds, Validate finds something
// wrong exactly when the API server would refuse or prune the same value in a
// custom resource with the same schema.
func TestValidateAgreesWithKubernetes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := `{"type":"object","properties":{"p":` + schemas(2).Draw(t, "schema") + `}}`
		raw, err := json.Marshal(map[string]any{"p": documents(3).Draw(t, "document")})
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := schema.Compile(&apiextensionsv1.JSON{Raw: []byte(text)})
		if err != nil {
			t.Fatalf("Compile(%s): %v", text, err)
		}
		got := compiled.Validate("input", parse(t, raw))
		if want := kubernetesAccepts(t, text, raw); (got == nil) != want {
			t.Fatalf("schema %s\ndocument %s\nKubernetes accepts it: %t; Validate = %+v", text, raw, want, got)
		}
	})
}

// What is published accepts what Validate accepts.
func TestPublishAgreesWithValidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","properties":{"p":` + schemas(2).Draw(t, "schema") + `}}`)}
		document, err := json.Marshal(map[string]any{"p": documents(3).Draw(t, "document")})
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := schema.Compile(raw)
		if err != nil {
			t.Fatalf("Compile(%s): %v", raw.Raw, err)
		}
		published, err := schema.Publish(raw)
		if err != nil {
			t.Fatalf("Publish(%s): %v", raw.Raw, err)
		}
		got := compiled.Validate("input", parse(t, document))
		if want := jsonSchemaAccepts(t, published, document); (got == nil) != want {
			t.Fatalf("schema %s\npublished %s\ndocument %s\nJSON Schema accepts it: %t; Validate = %+v", raw.Raw, published, document, want, got)
		}
	})
}

func parse(t *rapid.T, document []byte) strictjson.Value {
	v, err := strictjson.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func jsonSchemaAccepts(t *rapid.T, published, document []byte) bool {
	var parsed [2]any
	for i, text := range [][]byte{published, document} {
		var err error
		if parsed[i], err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("published", parsed[0]); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("published")
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(parsed[1]) == nil
}

func kubernetesAccepts(t *rapid.T, text string, raw []byte) bool {
	var props apiextensionsv1.JSONSchemaProps
	var internal apiextensions.JSONSchemaProps
	var doc map[string]any
	for _, err := range []error{
		json.Unmarshal([]byte(text), &props),
		apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&props, &internal, nil),
		utiljson.Unmarshal(raw, &doc),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	spine, err := structural.NewStructural(&internal)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		t.Fatal(err)
	}
	if len(validation.ValidateCustomResource(nil, doc, validator)) > 0 {
		return false
	}
	return len(pruning.PruneWithOptions(doc, spine, false, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})) == 0
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
