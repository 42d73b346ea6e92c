// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
)

func compile(t *testing.T, text string) *schema.Schema {
	t.Helper()
	s, err := schema.Compile(&apiextensionsv1.JSON{Raw: []byte(text)})
	if err != nil {
		t.Fatalf("Compile(%s): %v", text, err)
	}
	return s
}

func missing(at string) *schema.Violation {
	return &schema.Violation{Code: errorcode.MissingInput, Details: schema.Details{At: at}}
}

func unrecognized(at string) *schema.Violation {
	return &schema.Violation{Code: errorcode.UnrecognizedInput, Details: schema.Details{At: at}}
}

func invalid(at, expected string) *schema.Violation {
	v := &schema.Violation{Code: errorcode.InvalidInput, Details: schema.Details{At: at}}
	if expected != "" {
		v.Details.Expected = json.RawMessage(expected)
	}
	return v
}

// validate validates the text of an input of any kind.
func validate(t *testing.T, s *schema.Schema, text string) *schema.Violation {
	t.Helper()
	body, err := strictjson.Parse([]byte(`{"input":` + text + `}`))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	input, _ := body.Member("input")
	return s.Validate("input", input)
}

// obj is a schema whose only property p has the schema given.
func obj(p string) string { return `{"type":"object","properties":{"p":` + p + `}}` }

const pages = `{
	"type": "object",
	"required": ["source", "pages"],
	"properties": {
		"source": {"type": "object", "required": ["data"], "properties": {"data": {"type": "string", "format": "byte"}}},
		"language": {"type": "string", "enum": ["eng"]},
		"odd key": {"type": "boolean"},
		"pages": {"type": "array", "maxItems": 3, "items": {
			"type": "object", "required": ["dpi"],
			"properties": {"dpi": {"type": "integer", "minimum": 1}, "name": {"type": "string", "maxLength": 4, "pattern": "^[a-z]+$"}}}}
	}}`

// union is a schema of two models with a discriminator.
const union = `{"$defs":{
	"cat":{"type":"object","required":["kind","lives"],"properties":{"kind":{"const":"cat"},"lives":{"type":"integer"}}},
	"dog":{"type":"object","required":["kind"],"properties":{"kind":{"const":"dog"},"breed":{"type":"string"}}}},
	"properties":{"p":{"oneOf":[{"$ref":"#/$defs/cat"},{"$ref":"#/$defs/dog"}],"discriminator":{"propertyName":"kind"}}}}`

func TestValidate(t *testing.T) {
	const data = `"source":{"data":"aGk="}`
	tests := map[string]struct {
		schema, input string
		want          *schema.Violation
	}{
		"right":                      {pages, `{` + data + `,"pages":[{"dpi":1},{"name":"x","dpi":300}],"odd key":true,"language":"eng"}`, nil},
		"missing at the top":         {pages, `{"pages":[]}`, missing("input.source")},
		"missing in schema order":    {pages, `{}`, missing("input.source")},
		"missing in an array":        {pages, `{` + data + `,"pages":[{"dpi":1},{}]}`, missing("input.pages[1].dpi")},
		"missing before unknown":     {pages, `{"zzz":1,"pages":[]}`, missing("input.source")},
		"missing before wrong":       {pages, `{"pages":5}`, missing("input.source")},
		"document order":             {pages, `{"pages":[{"dpi":0}],"source":{}}`, invalid("input.pages[0].dpi", `{"type":"integer","minimum":1}`)},
		"document order, turned":     {pages, `{"source":{},"pages":[{"dpi":0}]}`, missing("input.source.data")},
		"unknown before wrong":       {pages, `{"zzz":1,` + data + `,"pages":5}`, unrecognized("input.zzz")},
		"wrong before unknown":       {pages, `{` + data + `,"pages":5,"zzz":1}`, invalid("input.pages", `{"type":"array","maxItems":3}`)},
		"unknown in an array":        {pages, `{` + data + `,"pages":[{"dpi":1,"a.b":{}}]}`, unrecognized(`input.pages[0]["a.b"]`)},
		"wrong type":                 {pages, `{"source":"x","pages":[]}`, invalid("input.source", `{"type":"object"}`)},
		"wrong type, with bounds":    {pages, `{` + data + `,"pages":[{"dpi":"1"}]}`, invalid("input.pages[0].dpi", `{"type":"integer","minimum":1}`)},
		"not in enum":                {pages, `{` + data + `,"pages":[],"language":"xyz"}`, invalid("input.language", `{"enum":["eng"]}`)},
		"wrong type for enum":        {pages, `{` + data + `,"pages":[],"language":1}`, invalid("input.language", `{"enum":["eng"]}`)},
		"odd key":                    {pages, `{` + data + `,"pages":[],"odd key":1}`, invalid(`input["odd key"]`, `{"type":"boolean"}`)},
		"too many items":             {pages, `{` + data + `,"pages":[{},{},{},{}]}`, invalid("input.pages", `{"type":"array","maxItems":3}`)},
		"too long, in runes":         {pages, `{` + data + `,"pages":[{"dpi":1,"name":"abcde"}]}`, invalid("input.pages[0].name", `{"type":"string","pattern":"^[a-z]+$","maxLength":4}`)},
		"pattern":                    {pages, `{` + data + `,"pages":[{"dpi":1,"name":"A"}]}`, invalid("input.pages[0].name", `{"type":"string","pattern":"^[a-z]+$","maxLength":4}`)},
		"format byte":                {pages, `{"source":{"data":"%"},"pages":[]}`, invalid("input.source.data", `{"type":"string","format":"byte"}`)},
		"null is not missing":        {pages, `{"source":null,"pages":[]}`, invalid("input.source", `{"type":"object"}`)},
		"input is a number":          {pages, ` 5 `, invalid("input", `{"type":"object"}`)},
		"input is null":              {pages, `null`, invalid("input", `{"type":"object"}`)},
		"bare object knows nothing":  {`{"type":"object"}`, `{"a":1}`, unrecognized("input.a")},
		"metadata is a property":     {`{"type":"object","properties":{"metadata":{"type":"integer"},"kind":{"type":"integer"}}}`, `{"metadata":1,"kind":2}`, nil},
		"metadata is not known":      {pages, `{` + data + `,"pages":[],"metadata":{}}`, unrecognized("input.metadata")},
		"default is not applied":     {`{"type":"object","required":["p"],"properties":{"p":{"type":"string","default":"x"}}}`, `{}`, missing("input.p")},
		"min length, é is one":       {obj(`{"type":"string","minLength":2}`), `{"p":"é"}`, invalid("input.p", `{"type":"string","minLength":2}`)},
		"unknown format is ignored":  {obj(`{"type":"string","format":"zip-code"}`), `{"p":"?"}`, nil},
		"date-time is documentation": {obj(`{"type":"string","format":"date-time"}`), `{"p":"noon"}`, nil},
		"null":                       {obj(`{"type":["string","null"],"minLength":1}`), `{"p":null}`, nil},
		"null is not in the enum":    {obj(`{"type":["string","null"],"enum":["a"]}`), `{"p":null}`, invalid("input.p", `{"enum":["a"]}`)},
		"null is in the enum":        {obj(`{"type":["string","null"],"enum":["a",null]}`), `{"p":null}`, nil},
		"string or null, wrong":      {obj(`{"type":["string","null"]}`), `{"p":1}`, invalid("input.p", `{"type":["string","null"]}`)},
		"const":                      {obj(`{"const":{"a":[1]}}`), `{"p":{"a":[1.0]}}`, nil},
		"not the const":              {obj(`{"type":"integer","const":2}`), `{"p":3}`, invalid("input.p", `{"const":2}`)},
		"const and enum":             {obj(`{"const":2,"enum":[1]}`), `{"p":2}`, invalid("input.p", `{"enum":[1]}`)},
		"true":                       {obj(`true`), `{"p":[{"a":1}]}`, nil},
		"false":                      {obj(`false`), `{"p":1}`, unrecognized("input.p")},
		"no more elements":           {obj(`{"prefixItems":[{"type":"string"}],"items":false}`), `{"p":["a","b"]}`, invalid("input.p[1]", `{"not":{}}`)},
		"tuple":                      {obj(`{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}`), `{"p":["a",1,"b"]}`, invalid("input.p[2]", `{"type":"integer"}`)},
		"tuple of draft 7":           {obj(`{"items":[{"type":"string"}],"additionalItems":{"type":"integer"}}`), `{"p":["a",1,"b"]}`, invalid("input.p[2]", `{"type":"integer"}`)},
		"contains":                   {obj(`{"contains":{"const":1}}`), `{"p":[2,3]}`, invalid("input.p", `{"contains":{"const":1}}`)},
		"pattern property":           {obj(`{"patternProperties":{"^x-":{"type":"integer"}}}`), `{"p":{"x-a":1,"x-b":"s"}}`, invalid(`input.p["x-b"]`, `{"type":"integer"}`)},
		"no pattern property":        {obj(`{"patternProperties":{"^x-":{"type":"integer"}}}`), `{"p":{"y":1}}`, unrecognized("input.p.y")},
		"property names":             {obj(`{"propertyNames":{"maxLength":2},"additionalProperties":true}`), `{"p":{"ab":1,"abc":1}}`, unrecognized("input.p.abc")},
		"dependent required":         {obj(`{"additionalProperties":true,"dependentRequired":{"a":["b"]}}`), `{"p":{"a":1}}`, missing("input.p.b")},
		"dependent schema":           {obj(`{"type":"object","properties":{"a":true},"dependentSchemas":{"a":{"properties":{"b":{"type":"integer"}}}}}`), `{"p":{"a":1,"b":"x"}}`, invalid("input.p.b", `{"type":"integer"}`)},
		"then":                       {obj(`{"type":"object","properties":{"a":true},"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"],"properties":{"b":true}}}`), `{"p":{"a":1}}`, missing("input.p.b")},
		"else":                       {obj(`{"type":"object","properties":{"a":true},"if":{"properties":{"a":{"const":1}}},"then":{"properties":{"b":true}}}`), `{"p":{"a":2,"b":1}}`, unrecognized("input.p.b")},
		"$ref":                       {`{"$defs":{"a":{"type":"integer"}},"properties":{"p":{"$ref":"#/$defs/a","maximum":3}}}`, `{"p":4}`, invalid("input.p", `{"type":"integer","maximum":3}`)},
		"$ref to itself":             {`{"properties":{"p":{"$ref":"#"},"n":{"type":"integer"}}}`, `{"p":{"p":{"n":"x"}}}`, invalid("input.p.p.n", `{"type":"integer"}`)},
		"$anchor":                    {`{"$defs":{"a":{"$anchor":"x","type":"integer"}},"properties":{"p":{"$ref":"#x"}}}`, `{"p":"s"}`, invalid("input.p", `{"type":"integer"}`)},
		"$id":                        {`{"$id":"https://example.com/a","$defs":{"b":{"$id":"b","type":"integer"}},"properties":{"p":{"$ref":"b"}}}`, `{"p":"s"}`, invalid("input.p", `{"type":"integer"}`)},
		"look-ahead":                 {obj(`{"type":"string","pattern":"^(?=.*[0-9])(?!.*\\s).{2,}$"}`), `{"p":"a1"}`, nil},
		"look-ahead, no digit":       {obj(`{"pattern":"^(?=.*[0-9])(?!.*\\s).{2,}$"}`), `{"p":"ab"}`, invalid("input.p", `{"pattern":"^(?=.*[0-9])(?!.*\\s).{2,}$"}`)},
		"look-ahead, space":          {obj(`{"pattern":"^(?=.*[0-9])(?!.*\\s).{2,}$"}`), `{"p":"a1 "}`, invalid("input.p", `{"pattern":"^(?=.*[0-9])(?!.*\\s).{2,}$"}`)},
		"pattern of ECMA-262":        {obj(`{"pattern":"^[\\u4e00-\\u9fff]+\\/$"}`), `{"p":"中/"}`, nil},
		"map":                        {obj(`{"type":"object","additionalProperties":{"type":"integer"}}`), `{"p":{"a":1,"b c":"x"}}`, invalid(`input.p["b c"]`, `{"type":"integer"}`)},
		"map of anything":            {obj(`{"type":"object","additionalProperties":true}`), `{"p":{"a":{"b":[1,{"c":null}]}}}`, nil},
		"additionalProperties false": {obj(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"}}}`), `{"p":{"b":1}}`, unrecognized("input.p.b")},
		"min properties":             {obj(`{"type":"object","minProperties":1}`), `{"p":{}}`, invalid("input.p", `{"type":"object","minProperties":1}`)},
		"anything":                   {obj(`{"description":"x"}`), `{"p":[{"a":{"b":null}},1]}`, nil},
		"open, closed inside":        {obj(`{"type":"object","additionalProperties":true,"properties":{"a":{"type":"object","properties":{"b":{"type":"string"}}}}}`), `{"p":{"x":{"y":1},"a":{"c":1}}}`, unrecognized("input.p.a.c")},
		"open whole input":           {`{"type":"object","additionalProperties":true}`, `{"a":{"b":1}}`, nil},
		"unique items":               {obj(`{"type":"array","uniqueItems":true}`), `{"p":[{"a":1,"b":2},{"b":2.0,"a":1}]}`, invalid("input.p", `{"type":"array","uniqueItems":true}`)},

		"20 digits are an integer": {obj(`{"type":"integer"}`), `{"p":12345678901234567890}`, nil},
		"20 digits, int64":         {obj(`{"type":"integer","format":"int64"}`), `{"p":12345678901234567890}`, invalid("input.p", `{"type":"integer","format":"int64"}`)},
		"int32":                    {obj(`{"type":"integer","format":"int32"}`), `{"p":2147483648}`, invalid("input.p", `{"type":"integer","format":"int32"}`)},
		"1.0 is an integer":        {obj(`{"type":"integer","maximum":1}`), `{"p":1.0}`, nil},
		"1e2 is an integer":        {obj(`{"type":"integer"}`), `{"p":1e2}`, nil},
		"1.5 is not an integer":    {obj(`{"type":"integer"}`), `{"p":1.5}`, invalid("input.p", `{"type":"integer"}`)},
		"hair above an integer":    {obj(`{"type":"integer"}`), `{"p":1.00000000000000000000000000000001}`, invalid("input.p", `{"type":"integer"}`)},
		"hair above the maximum":   {obj(`{"type":"number","maximum":0.1}`), `{"p":0.1000000000000000000000001}`, invalid("input.p", `{"type":"number","maximum":0.1}`)},
		"exactly the maximum":      {obj(`{"type":"number","maximum":0.1}`), `{"p":1.0e-1}`, nil},
		"exclusive":                {obj(`{"type":"number","exclusiveMinimum":0}`), `{"p":-0.0}`, invalid("input.p", `{"type":"number","exclusiveMinimum":0}`)},
		"tiny is above zero":       {obj(`{"type":"number","exclusiveMinimum":0}`), `{"p":1e-300000}`, nil},
		"multiple of a tenth":      {obj(`{"type":"number","multipleOf":0.1}`), `{"p":0.3}`, nil},
		"no multiple":              {obj(`{"type":"number","multipleOf":0.1}`), `{"p":0.35}`, invalid("input.p", `{"type":"number","multipleOf":0.1}`)},
		"enum of numbers":          {obj(`{"type":"number","enum":[1,2]}`), `{"p":2.00}`, nil},

		"allOf":                     {obj(`{"type":"string","allOf":[{"minLength":2},{"maxLength":3}]}`), `{"p":"abcd"}`, invalid("input.p", `{"type":"string","maxLength":3}`)},
		"allOf below":               {obj(`{"type":"object","properties":{"a":{"type":"integer"}},"allOf":[{"required":["a"]},{"properties":{"a":{"minimum":3}}}]}`), `{"p":{"a":2}}`, invalid("input.p.a", `{"type":"integer","minimum":3}`)},
		"allOf requires":            {obj(`{"type":"object","properties":{"a":{"type":"integer"}},"allOf":[{"required":["a"]}]}`), `{"p":{}}`, missing("input.p.a")},
		"oneOf, none":               {obj(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"oneOf":[{"required":["a"]},{"required":["b"]}]}`), `{"p":{}}`, invalid("input.p", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`)},
		"oneOf, both":               {obj(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"oneOf":[{"required":["a"]},{"required":["b"]}]}`), `{"p":{"a":1,"b":1}}`, invalid("input.p", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`)},
		"anyOf, parts first":        {obj(`{"type":"object","properties":{"a":{"type":"integer"}},"anyOf":[{"required":["a"]}]}`), `{"p":{"a":"x"}}`, invalid("input.p.a", `{"type":"integer"}`)},
		"not":                       {obj(`{"type":"string","not":{"enum":["no"]}}`), `{"p":"no"}`, invalid("input.p", `{"not":{"enum":["no"]}}`)},
		"optional, not of its type": {obj(`{"anyOf":[{"type":"integer"},{"type":"null"}]}`), `{"p":"x"}`, invalid("input.p", `{"anyOf":[{"type":"integer"},{"type":"null"}]}`)},
		"optional, out of bounds":   {obj(`{"anyOf":[{"type":"integer","minimum":1},{"type":"null"}]}`), `{"p":0}`, invalid("input.p", `{"type":"integer","minimum":1}`)},
		"optional, wrong inside":    {obj(`{"anyOf":[{"type":"object","properties":{"a":{"type":"integer"}}},{"type":"null"}]}`), `{"p":{"a":"x"}}`, invalid("input.p.a", `{"type":"integer"}`)},
		"optional, unknown inside":  {obj(`{"anyOf":[{"type":"object","properties":{"a":{"type":"integer"}}},{"type":"null"}]}`), `{"p":{"a":1,"b":1}}`, unrecognized("input.p.b")},
		"union":                     {union, `{"p":{"kind":"cat","lives":1}}`, nil},
		"union, wrong in its kind":  {union, `{"p":{"lives":"x","kind":"cat"}}`, invalid("input.p.lives", `{"type":"integer"}`)},
		"union, of the other kind":  {union, `{"p":{"kind":"dog","lives":1}}`, unrecognized("input.p.lives")},
		"union, missing in its":     {union, `{"p":{"kind":"cat"}}`, missing("input.p.lives")},
		"union, no such kind":       {union, `{"p":{"kind":"cow"}}`, invalid("input.p", `{"oneOf":[{"$ref":"#/$defs/cat"},{"$ref":"#/$defs/dog"}]}`)},
		"closed across allOf":       {obj(`{"allOf":[{"type":"object","properties":{"a":true}},{"properties":{"b":true}}]}`), `{"p":{"a":1,"b":1,"c":1}}`, unrecognized("input.p.c")},
		"closed across allOf, deep": {obj(`{"allOf":[{"properties":{"a":{"properties":{"b":true}}}},{"properties":{"a":{"properties":{"c":true}}}}]}`), `{"p":{"a":{"b":1,"c":1,"d":1}}}`, unrecognized("input.p.a.d")},
		"closed across anyOf":       {obj(`{"anyOf":[{"required":["a"],"properties":{"a":true}},{"properties":{"b":true}}]}`), `{"p":{"a":1,"b":1,"c":1}}`, unrecognized("input.p.c")},
		"if is not closed":          {obj(`{"properties":{"a":{"type":"object","properties":{"b":true,"c":true}}},"if":{"properties":{"a":{"properties":{"b":{"const":1}}}}},"then":{"required":["x"],"properties":{"x":true}}}`), `{"p":{"a":{"b":1,"c":1}}}`, missing("input.p.x")},
		"not is not closed":         {obj(`{"type":"object","properties":{"a":true,"b":true},"not":{"type":"object","properties":{"a":{"const":1}}}}`), `{"p":{"a":1,"b":1}}`, invalid("input.p", `{"not":{"properties":{"a":{"const":1}},"type":"object"}}`)},
		"unevaluated is false":      {obj(`{"unevaluatedProperties":false,"allOf":[{"properties":{"a":true}}]}`), `{"p":{"a":1,"b":1}}`, unrecognized("input.p.b")},
		"unevaluated has a schema":  {obj(`{"type":"object","unevaluatedProperties":{"type":"integer"},"allOf":[{"properties":{"a":true}}]}`), `{"p":{"a":"x","b":"x"}}`, invalid("input.p.b", `{"type":"integer"}`)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := validate(t, compile(t, tc.schema), tc.input)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Validate(%s) (-want +got):\n%s", tc.input, diff)
			}
		})
	}
}

func TestRules(t *testing.T) {
	const area = `{"type":"object","properties":{
		"on": {"type":"boolean"},
		"n": {"type":"integer"},
		"r": {"type":"number"},
		"areas": {"type":"array","items":{"type":"object",
			"properties":{"low":{"type":"integer"},"high":{"type":"integer"}},
			"x-kubernetes-validations":[{"rule":"self.low < self.high","message":" low must be below high "}]}}},
		"x-kubernetes-validations":[
			{"rule":"!has(self.n) || self.n != 13","messageExpression":"'not ' + string(self.n)","fieldPath":".n"},
			{"rule":"!has(self.r) || self.r != 2.0"}]}`
	s := compile(t, area)
	tests := map[string]struct {
		input string
		want  *schema.Violation
	}{
		"right":                       {`{"n":12,"r":1,"areas":[{"low":1,"high":2.0}]}`, nil},
		"message, path of an element": {`{"areas":[{"low":1,"high":2},{"low":2,"high":2}]}`, invalid("input.areas[1]", `{"rule":"self.low < self.high","message":"low must be below high"}`)},
		"message expression, path":    {`{"n":13}`, invalid("input.n", `{"rule":"!has(self.n) || self.n != 13","message":"not 13"}`)},
		"1.30e1 is 13":                {`{"n":1.30e1}`, invalid("input.n", `{"rule":"!has(self.n) || self.n != 13","message":"not 13"}`)},
		"whole number as a float":     {`{"r":2}`, invalid("input", `{"rule":"!has(self.r) || self.r != 2.0"}`)},
		"missing key":                 {`{"areas":[{}]}`, invalid("input.areas[0]", `{"rule":"self.low < self.high","message":"low must be below high"}`)},
		"integer beyond 64 bits":      {`{"n":12345678901234567890}`, invalid("input.n", `{"rule":"!has(self.n) || self.n != 13"}`)},
		"parts before the whole":      {`{"n":13,"on":1}`, invalid("input.on", `{"type":"boolean"}`)},
		"document order":              {`{"areas":[{"low":2,"high":1}],"on":1}`, invalid("input.areas[0]", `{"rule":"self.low < self.high","message":"low must be below high"}`)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := validate(t, s, tc.input)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Validate(%s) (-want +got):\n%s", tc.input, diff)
			}
		})
	}
}

// The place of a rule with a fieldPath is spelled as all others are.
func TestFieldPath(t *testing.T) {
	for fieldPath, want := range map[string]string{
		".a":             "input.a",
		".a.b":           "input.a.b",
		"['a']['b-c']":   `input.a["b-c"]`,
		".a['b-c']":      `input.a["b-c"]`,
		".a.b-c":         `input.a["b-c"]`,
		`['it\\'s a.b']`: `input["it's a.b"]`,
		`['a\\\\b']`:     `input["a\\b"]`,
		".m.any":         "input.m.any",
		"['m']['x y']":   `input.m["x y"]`,
	} {
		s := compile(t, `{"type":"object","properties":{
			"a":{"type":"object","properties":{"b":{"type":"string"},"b-c":{"type":"string"}}},"it's a.b":{"type":"string"},"a\\b":{"type":"string"},
			"m":{"type":"object","additionalProperties":{"type":"string"}}},
			"x-kubernetes-validations":[{"rule":"false","fieldPath":"`+fieldPath+`"}]}`)
		if diff := cmp.Diff(invalid(want, `{"rule":"false"}`), validate(t, s, `{}`)); diff != "" {
			t.Errorf("fieldPath %s (-want +got):\n%s", fieldPath, diff)
		}
	}
}

// Validation allocates a few times the size of the value, however deep it is and
// however long its keys are: no path is built for what is valid.
func TestValidateAllocatesLittle(t *testing.T) {
	const depth = 10
	s := compile(t, strings.Repeat(`{"type":"object","additionalProperties":`, depth)+`{"type":"array","items":{"type":"object"}}`+strings.Repeat("}", depth))
	input := strings.Repeat(`{"`+strings.Repeat(`\u0001`, 128)+`":`, depth) + "[" + strings.Repeat("{},", 50_000) + "{}]" + strings.Repeat("}", depth)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	violation := validate(t, s, input)
	runtime.ReadMemStats(&after)
	bytes := after.TotalAlloc - before.TotalAlloc
	if most := uint64(250 * len(input)); violation != nil || bytes > most {
		t.Errorf("%d bytes are allocated for %d, want %d at most; %v", bytes, len(input), most, violation)
	}
}

// A rule cannot keep a replica busy: its cost is bounded, and then it fails. Kubernetes'
// estimate allows it, because it is about the largest of all values.
func TestRuleCostIsBounded(t *testing.T) {
	s := compile(t, `{"type":"object","properties":{"a":{"type":"array","maxItems":1000,"items":{"type":"integer"}}},
		"x-kubernetes-validations":[{"rule":"self.a.all(x, self.a.all(y, x + y >= 0))"}]}`)
	for n, valid := range map[int]bool{100: true, 1000: false} {
		got := validate(t, s, `{"a":[1`+strings.Repeat(",1", n-1)+`]}`)
		if (got == nil) != valid || got != nil && got.Code != errorcode.InvalidInput {
			t.Errorf("%d elements: %v, want valid: %t", n, got, valid)
		}
	}
}

// Rules read what is one type in every choice but null, through references. A schema
// that refers to itself can be read for two levels.
func TestRulesReadSchemas(t *testing.T) {
	s := compile(t, `{"$defs":{"node":{"type":"object","properties":{"v":{"anyOf":[{"type":"integer"},{"type":"null"}]},"next":{"$ref":"#/$defs/node"}},
			"x-kubernetes-validations":[{"rule":"!has(self.next) || self.v == self.next.v + 1"}]}},
		"properties":{"p":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}],"x-kubernetes-validations":[{"rule":"self.v < 9"}]}}}`)
	for input, at := range map[string]string{
		`{"p":{"v":3,"next":{"v":2}}}`: "", `{"p":null}`: "", `{}`: "", `{"p":{"v":9}}`: "input.p", `{"p":{"v":3,"next":{"v":1}}}`: "input.p",
	} {
		if got := validate(t, s, input); (got == nil) != (at == "") || got != nil && got.Details.At != at {
			t.Errorf("Validate(%s) = %+v, want one at %q", input, got, at)
		}
	}
}

// A schema whose choices need exponential work ends with a violation.
func TestWorkIsBounded(t *testing.T) {
	var chain strings.Builder
	for i := range 40 {
		fmt.Fprintf(&chain, `"d%d":{"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	long := strings.Repeat("a", 400_000)
	for name, test := range map[string]struct{ schema, input string }{
		"choices in a value":  {`{"$defs":{` + chain.String() + `"d40":{"minProperties":2}},"$ref":"#/$defs/d0"}`, `{}`},
		"choices in each of":  {`{"$defs":{"n":{"properties":{"a":{"anyOf":[{"$ref":"#/$defs/n"},{"allOf":[{"$ref":"#/$defs/n"}]}]},"b":false}}},"$ref":"#/$defs/n"}`, strings.Repeat(`{"a":`, 60) + `{"b":1}` + strings.Repeat("}", 60)},
		"not":                 {`{"$defs":{` + chain.String() + `"d40":{"minProperties":2}},"not":{"$ref":"#/$defs/d0"}}`, `{}`},
		"a pattern":           {`{"additionalProperties":{"pattern":"(a?){500}b"}}`, `{"a":"` + long + `"}`},
		"patterns of members": {`{"patternProperties":{"^(a?){500}b$":{}},"additionalProperties":true}`, `{"` + long + `":1}`},
		"constants":           {`{"$defs":{"c":{"enum":[[1]]}},"additionalProperties":{"not":{"anyOf":[` + strings.Repeat(`{"$ref":"#/$defs/c"},`, 1000) + `false]}}}`, `{"a":[` + strings.Repeat("1,", 100_000) + `1]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.CompileOpen([]byte(test.schema))
			if err != nil {
				t.Fatal(err)
			}
			body, err := strictjson.Parse([]byte(test.input))
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			got := s.Validate(body)
			if got == nil || got.Details.Message != "the schema needs too many steps to check this value" || time.Since(began) > 20*time.Second {
				t.Errorf("after %s: %+v", time.Since(began), got)
			}
		})
	}
}

func TestNoSchemaAcceptsAnyObject(t *testing.T) {
	s, err := schema.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := validate(t, s, `{"a":{"b":[1e5,null]}}`); got != nil {
		t.Errorf("Validate(object) = %v, want nil", got)
	}
	if diff := cmp.Diff(invalid("input", `{"type":"object"}`), validate(t, s, `[]`)); diff != "" {
		t.Errorf("Validate(array) (-want +got):\n%s", diff)
	}
}

func TestCompileSaysWhatIsWrongAndWhere(t *testing.T) {
	var large []string // patterns, each of 900 instructions
	for i := range 30 {
		large = append(large, fmt.Sprintf(`{"pattern":"a{900}%d"}`, i))
	}
	many := strings.Repeat(`{},`, 5000)
	tests := map[string]struct{ schema, want string }{
		"not an object":      {`{"type":"array","items":{"type":"string"}}`, "/type: must be object"},
		"not by reference":   {`{"$ref":"#/$defs/a","$defs":{"a":{"type":"string"}}}`, "/$defs/a/type: must be object"},
		"a type with a typo": {`{"properties":{"text":{"type":"strin"}}}`, `/properties/text/type: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'`},
		"no JSON":            {`{`, "read the schema: "},
		"a key twice":        {`{"type":"object","type":"object"}`, "read the schema: type"},
		"misspelled":         {`{"properties":{"dpi":{"type":"integer","minimun":1}}}`, "/properties/dpi/minimun: there is no such keyword, expected minimum"},
		"misspelled, deep":   {`{"anyOf":[{"$defs":{"a":{"aditionalProperties":true}}}]}`, "/anyOf/0/$defs/a/aditionalProperties: there is no such keyword, expected additionalProperties"},
		"unknown in a rule":  {`{"type":"object","x-kubernetes-validations":[{"rule":"true","massage":"x"}]}`, `/x-kubernetes-validations: json: unknown field "massage"`},
		"nullable":           {obj(`{"type":"string","nullable":true}`), `/properties/p/nullable: this keyword is not part of JSON Schema 2020-12: write "type": ["string", "null"]`},
		"preserve unknown":   {`{"x-kubernetes-preserve-unknown-fields":true}`, `/x-kubernetes-preserve-unknown-fields: this keyword is not part of JSON Schema 2020-12: write "additionalProperties": true`},
		"embedded resource":  {`{"x-kubernetes-embedded-resource":true}`, "/x-kubernetes-embedded-resource: only x-kubernetes-validations is supported"},
		"boolean exclusive":  {obj(`{"type":"number","minimum":0,"exclusiveMinimum":true}`), "/properties/p/exclusiveMinimum: got boolean, want number"},
		"bad pattern":        {obj(`{"pattern":"("}`), "/properties/p/pattern: "},
		"look-behind":        {obj(`{"pattern":"^a(?=b)"}`), "/properties/p/pattern: "},
		"large pattern":      {obj(`{"pattern":"([a-z]{999}){30}"}`), "/properties/p/pattern: "},
		"large together":     {obj(`{"allOf":[` + strings.Join(large, ",") + `]}`), "/properties/p/allOf/"},
		"$ref to nothing":    {obj(`{"$ref":"#/definitions/x"}`), "/properties/p/$ref: there is nothing at #/definitions/x in this schema"},
		"$ref to the web":    {obj(`{"$ref":"https://example.com/x"}`), "/properties/p/$ref: leads to https://example.com/x, but only references within the schema are possible"},
		"$ref to a file":     {obj(`{"$ref":"file:///etc/passwd"}`), "/properties/p/$ref: leads to file:///etc/passwd, but"},
		"$ref beyond $id":    {`{"$id":"https://example.com/a","properties":{"p":{"$ref":"b"}}}`, "https://example.com/b\": only references within the schema are possible"},
		"$ref to the meta":   {`{"$id":"https://example.com/a","properties":{"p":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}}`, "only references within the schema are possible"},
		"$dynamicRef":        {obj(`{"$dynamicRef":"#x"}`), `/properties/p/$dynamicRef: this keyword is not part`},
		"a loop":             {`{"allOf":[{"$ref":"#"}]}`, "applies itself to the same value, without end"},
		"a loop of choices":  {`{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},true]},"b":{"not":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a"}`, "applies itself to the same value, without end"},
		"rule with a typo":   {`{"type":"object","properties":{"a":{"type":"integer"}},"x-kubernetes-validations":[{"rule":"self.b > 1"}]}`, "/x-kubernetes-validations/0/rule: "},
		"rule, not a bool":   {`{"type":"object","x-kubernetes-validations":[{"rule":"1"}]}`, "must evaluate to a bool"},
		"rule over oldSelf":  {obj(`{"type":"string","x-kubernetes-validations":[{"rule":"self == oldSelf"}]}`), "oldSelf"},
		"rule on two types":  {obj(`{"type":["string","object"],"x-kubernetes-validations":[{"rule":"true"}]}`), "/properties/p/x-kubernetes-validations: a rule can only be about values of one type"},
		"rule, too costly":   {`{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}},"x-kubernetes-validations":[{"rule":"self.a.all(x, self.a.all(y, x + y >= 0))"}]}`, "/x-kubernetes-validations/0/rule: can cost "},
		"zero multipleOf":    {obj(`{"type":"number","multipleOf":0}`), "/properties/p/multipleOf: "},
		"required, unknown":  {`{"type":"object","required":["txt"],"properties":{"text":{"type":"string"}}}`, `/required: "txt" is not among the properties`},
		"required in allOf":  {`{"properties":{"a":{"type":"object","allOf":[{"required":["b"]}]}}}`, `/properties/a/allOf/0/required: "b" is not among`},
		"lengths crossed":    {obj(`{"type":"string","minLength":3,"maxLength":2}`), "/properties/p/minLength: must not be above maxLength"},
		"numbers crossed":    {obj(`{"type":"number","minimum":3.5,"maximum":3}`), "/properties/p/minimum: must not be above maximum"},
		"no value":           {obj(`{"type":"string","enum":[]}`), "/properties/p/enum: must have a value"},
		"keyword, bad value": {obj(`{"type":"string","minLength":"x"}`), "/properties/p/minLength: got string, want integer"},
		"two mistakes":       {`{"properties":{"a":{"type":1},"b":{"minLength":-1}}}`, "\n/properties/b/minLength: "},
		"a huge number":      {obj(`{"minimum":1e-999999999}`), "/properties/p/minimum: a number in a schema can have 320 digits"},
		"a huge length":      {obj(`{"maxLength":1e30}`), "/properties/p/maxLength: is too large"},
		"too large":          {`{"description":"` + strings.Repeat("x", 65<<10) + `"}`, "is larger than 65536 bytes"},
		"too many schemas":   {`{"allOf":[` + many + `{}]}`, "has more than 2000 schemas"},
		"too deep":           {strings.Repeat(`{"not":`, 65) + "true" + strings.Repeat("}", 65), "is nested deeper than 64"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := schema.Compile(&apiextensionsv1.JSON{Raw: []byte(tc.schema)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Compile = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestDetailsAreWrittenInOrder(t *testing.T) {
	got, err := json.Marshal(schema.Details{In: "body", At: "input", Expected: json.RawMessage(`{"type":"object"}`)})
	if want := `{"in":"body","at":"input","expected":{"type":"object"}}`; err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v, want %s", got, err, want)
	}
	if got, _ := json.Marshal(schema.Details{In: "body"}); string(got) != `{"in":"body"}` {
		t.Errorf("Marshal = %s, want only in", got)
	}
}
