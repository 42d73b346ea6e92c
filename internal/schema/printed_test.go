// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"procman.dev/procman/internal/schema"
)

func printed(t *testing.T, name string) *schema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/printed/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, string(text))
}

// What the tools print is accepted as it is. testdata/printed has the programs.
func TestPrintedSchemas(t *testing.T) {
	files, err := filepath.Glob("testdata/printed/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("there are %d printed schemas, %v", len(files), err)
	}
	for _, file := range files {
		printed(t, filepath.Base(file))
	}
}

// The patterns that zod prints for its formats can be used, except those that look
// ahead in the middle or need a property of Unicode that Go does not know.
func TestFormatsOfZod(t *testing.T) {
	text, err := os.ReadFile("testdata/zod-formats.json")
	if err != nil {
		t.Fatal(err)
	}
	var formats map[string]json.RawMessage
	if err := json.Unmarshal(text, &formats); err != nil || len(formats) < 20 {
		t.Fatalf("there are %d formats, %v", len(formats), err)
	}
	for name, format := range formats {
		_, err := schema.Compile(&apiextensionsv1.JSON{Raw: []byte(obj(string(format)))})
		if refused := name == "duration" || name == "emoji"; (err != nil) != refused {
			t.Errorf("%s: %v, want refused: %t", name, err, refused)
		}
	}
}

func TestInputsOfPrintedSchemas(t *testing.T) {
	const order = `"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6","at":"2026-01-01T00:00:00Z","price":1.50,"pet":{"kind":"cat"}`
	const account = `"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6","email":"a@example.com","at":"2026-01-01T00:00:00Z","ratio":0.5,"note":null,"role":"user",` +
		`"pet":{"kind":"cat","lives":9},"size":"auto","span":[1,"x"],"scores":{"a":1.5},"anything":{"x":[1]}`
	const cart = `"pet":{"kind":"cat","lives":1},"both":{"a":1,"b":2},"span":[1,"x"],"scores":{"a":1},"path":"/1/x"`
	for name, test := range map[string]struct {
		file, input string
		want        *schema.Violation
	}{
		"pydantic":                {"pydantic.json", `{` + order + `,"note":null,"address":{"street":"s","zip":"01234"},"size":7,"span":[1,2],"tags":["a"],"scores":{"x":1},"tree":{"name":"a","children":[{"name":"b"}]},"anything":{"x":1},"due":"2026-01-01"}`, nil},
		"pydantic, optional":      {"pydantic.json", `{` + order + `,"note":5}`, invalid("input.note", `{"anyOf":[{"type":"string"},{"type":"null"}]}`)},
		"pydantic, nested":        {"pydantic.json", `{` + order + `,"address":{"street":"s","zip":"1"}}`, invalid("input.address.zip", `{"type":"string","pattern":"^\\d{5}$"}`)},
		"pydantic, missing":       {"pydantic.json", `{` + order + `,"address":{"zip":"01234"}}`, missing("input.address.street")},
		"pydantic, const":         {"pydantic.json", `{` + order + `,"address":{"street":"s","zip":"01234","country":"FR"}}`, invalid("input.address.country", `{"const":"DE"}`)},
		"pydantic, enum":          {"pydantic.json", `{` + order + `,"color":"blue"}`, invalid("input.color", `{"enum":["red","green"]}`)},
		"pydantic, unknown":       {"pydantic.json", `{` + order + `,"address":{"street":"s","zip":"01234","x":1}}`, unrecognized("input.address.x")},
		"pydantic, exclusive":     {"pydantic.json", `{` + order + `,"ratio":0}`, invalid("input.ratio", `{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}`)},
		"pydantic, Decimal":       {"pydantic.json", `{"id":"x","at":"x","price":"-","pet":{"kind":"cat"}}`, invalid("input.price", `{"type":"string","pattern":"^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}`)},
		"pydantic, union":         {"pydantic.json", `{` + order + `,"size":"large"}`, invalid("input.size", `{"anyOf":[{"type":"integer"},{"const":"auto","type":"string"}]}`)},
		"pydantic, discriminator": {"pydantic.json", `{"id":"x","at":"x","price":1,"pet":{"kind":"cat","lives":10}}`, invalid("input.pet.lives", `{"type":"integer","exclusiveMinimum":0,"maximum":9}`)},
		"pydantic, tuple":         {"pydantic.json", `{` + order + `,"span":[1,"x"]}`, invalid("input.span[1]", `{"type":"integer"}`)},
		"pydantic, set":           {"pydantic.json", `{` + order + `,"tags":["a","a"]}`, invalid("input.tags", `{"type":"array","uniqueItems":true}`)},
		"pydantic, recursive":     {"pydantic.json", `{` + order + `,"tree":{"name":"a","children":[{"name":"b","children":[{}]}]}}`, missing("input.tree.children[0].children[0].name")},
		"pydantic, itself":        {"pydantic-recursive.json", `{"name":"a","children":[{"name":1}]}`, invalid("input.children[0].name", `{"type":"string"}`)},
		"pydantic, extra forbid":  {"pydantic-strict.json", `{"order":{` + order + `},"x":1}`, unrecognized("input.x")},
		"pydantic, extra allow":   {"pydantic-open.json", `{"name":"a","x":{"y":1}}`, nil},
		"FastAPI":                 {"fastapi.json", `{` + order + `,"address":{"street":1,"zip":"01234"}}`, invalid("input.address.street", `{"type":"string"}`)},
		"zod":                     {"zod.json", `{` + account + `,"category":{"name":"a","children":[]}}`, nil},
		"zod, email":              {"zod-input.json", `{"email":"a"}`, missing("input.id")},
		"zod, tuple":              {"zod.json", `{"span":[1,"x",2],` + account[:len(account)-len(`,"span":[1,"x"],"scores":{"a":1.5},"anything":{"x":[1]}`)] + `,"scores":{},"anything":1}`, invalid("input.span", `{"type":"array","minItems":2,"maxItems":2}`)},
		"zod, looseObject":        {"zod-input.json", `{` + account + `,"x":1}`, nil},
		"zod, record":             {"zod.json", `{"scores":{"a":"x"},` + account[:len(account)-len(`,"scores":{"a":1.5},"anything":{"x":[1]}`)] + `,"anything":1}`, invalid("input.scores.a", `{"type":"number"}`)},
		"zod 3":                   {"zod3.json", `{` + account + `}`, nil},
		"TypeBox":                 {"typebox.json", `{` + cart + `,"note":null,"tree":{"name":"a","children":[{"name":"b","children":[]}]}}`, nil},
		"TypeBox, intersection":   {"typebox.json", `{"both":{"a":1,"b":2,"c":3},` + cart[:len(`"pet":{"kind":"cat","lives":1}`)] + `,"span":[1,"x"],"scores":{},"path":"/1/x"}`, unrecognized("input.both.c")},
		"TypeBox, recursive":      {"typebox.json", `{` + cart + `,"tree":{"name":"a","children":[{"name":1,"children":[]}]}}`, invalid("input.tree.children[0].name", `{"type":"string"}`)},
		"TypeBox, module":         {"typebox-module.json", `{"items":[{"sku":"a","next":{"sku":1}}]}`, invalid("input.items[0].next.sku", `{"type":"string"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, validate(t, printed(t, test.file), test.input)); diff != "" {
				t.Errorf("Validate(%s) (-want +got):\n%s", test.input, diff)
			}
		})
	}
}
