// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

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
		"date-time":                  {obj(`{"type":"string","format":"date-time"}`), `{"p":"noon"}`, invalid("input.p", `{"type":"string","format":"date-time"}`)},
		"nullable":                   {obj(`{"type":"string","nullable":true,"minLength":1}`), `{"p":null}`, nil},
		"null is not in the enum":    {obj(`{"type":"string","nullable":true,"enum":["a"]}`), `{"p":null}`, invalid("input.p", `{"enum":["a"]}`)},
		"null is in the enum":        {obj(`{"type":"string","nullable":true,"enum":["a",null]}`), `{"p":null}`, nil},
		"nullable, wrong":            {obj(`{"type":"string","nullable":true}`), `{"p":1}`, invalid("input.p", `{"type":"string","nullable":true}`)},
		"int or string, int":         {obj(`{"x-kubernetes-int-or-string":true}`), `{"p":5}`, nil},
		"int or string, string":      {obj(`{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]}`), `{"p":"50%"}`, nil},
		"int or string, half":        {obj(`{"x-kubernetes-int-or-string":true}`), `{"p":0.5}`, invalid("input.p", `{"type":["integer","string"]}`)},
		"map":                        {obj(`{"type":"object","additionalProperties":{"type":"integer"}}`), `{"p":{"a":1,"b c":"x"}}`, invalid(`input.p["b c"]`, `{"type":"integer"}`)},
		"map of anything":            {obj(`{"type":"object","additionalProperties":true}`), `{"p":{"a":{"b":[1,{"c":null}]}}}`, nil},
		"additionalProperties false": {obj(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"}}}`), `{"p":{"b":1}}`, unrecognized("input.p.b")},
		"min properties":             {obj(`{"type":"object","minProperties":1}`), `{"p":{}}`, invalid("input.p", `{"type":"object","minProperties":1}`)},
		"preserved":                  {obj(`{"x-kubernetes-preserve-unknown-fields":true}`), `{"p":[{"a":{"b":null}},1]}`, nil},
		"preserved object":           {obj(`{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"a":{"type":"object","properties":{"b":{"type":"string"}}}}}`), `{"p":{"x":{"y":1},"a":{"c":1}}}`, unrecognized("input.p.a.c")},
		"preserved array's items":    {obj(`{"type":"array","x-kubernetes-preserve-unknown-fields":true,"items":{"type":"object"}}`), `{"p":[{"a":1}]}`, nil},
		"preserved whole input":      {`{"type":"object","x-kubernetes-preserve-unknown-fields":true}`, `{"a":{"b":1}}`, nil},
		"unique items":               {obj(`{"type":"array","uniqueItems":true,"items":{"x-kubernetes-preserve-unknown-fields":true}}`), `{"p":[{"a":1,"b":2},{"b":2.0,"a":1}]}`, invalid("input.p", `{"type":"array","uniqueItems":true}`)},
		"set":                        {obj(`{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}`), `{"p":["a","a"]}`, invalid("input.p", `{"type":"array","uniqueItems":true}`)},
		"list map":                   {obj(`{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","required":["k"],"properties":{"k":{"type":"string"},"v":{"type":"string"}}}}`), `{"p":[{"k":"a","v":"1"},{"k":"a","v":"2"}]}`, invalid("input.p", `{"type":"array","x-kubernetes-list-map-keys":["k"]}`)},

		"20 digits are an integer": {obj(`{"type":"integer"}`), `{"p":12345678901234567890}`, nil},
		"20 digits, int64":         {obj(`{"type":"integer","format":"int64"}`), `{"p":12345678901234567890}`, invalid("input.p", `{"type":"integer","format":"int64"}`)},
		"int32":                    {obj(`{"type":"integer","format":"int32"}`), `{"p":2147483648}`, invalid("input.p", `{"type":"integer","format":"int32"}`)},
		"1.0 is an integer":        {obj(`{"type":"integer","maximum":1}`), `{"p":1.0}`, nil},
		"1e2 is an integer":        {obj(`{"type":"integer"}`), `{"p":1e2}`, nil},
		"1.5 is not an integer":    {obj(`{"type":"integer"}`), `{"p":1.5}`, invalid("input.p", `{"type":"integer"}`)},
		"hair above an integer":    {obj(`{"type":"integer"}`), `{"p":1.00000000000000000000000000000001}`, invalid("input.p", `{"type":"integer"}`)},
		"hair above the maximum":   {obj(`{"type":"number","maximum":0.1}`), `{"p":0.1000000000000000000000001}`, invalid("input.p", `{"type":"number","maximum":0.1}`)},
		"exactly the maximum":      {obj(`{"type":"number","maximum":0.1}`), `{"p":1.0e-1}`, nil},
		"exclusive":                {obj(`{"type":"number","minimum":0,"exclusiveMinimum":true}`), `{"p":-0.0}`, invalid("input.p", `{"type":"number","minimum":0,"exclusiveMinimum":true}`)},
		"tiny is above zero":       {obj(`{"type":"number","minimum":0,"exclusiveMinimum":true}`), `{"p":1e-300000}`, nil},
		"multiple of a tenth":      {obj(`{"type":"number","multipleOf":0.1}`), `{"p":0.3}`, nil},
		"no multiple":              {obj(`{"type":"number","multipleOf":0.1}`), `{"p":0.35}`, invalid("input.p", `{"type":"number","multipleOf":0.1}`)},
		"enum of numbers":          {obj(`{"type":"number","enum":[1,2]}`), `{"p":2.00}`, nil},

		"allOf":                {obj(`{"type":"string","allOf":[{"minLength":2},{"maxLength":3}]}`), `{"p":"abcd"}`, invalid("input.p", `{"type":"string","maxLength":3}`)},
		"allOf below":          {obj(`{"type":"object","properties":{"a":{"type":"integer"}},"allOf":[{"required":["a"]},{"properties":{"a":{"minimum":3}}}]}`), `{"p":{"a":2}}`, invalid("input.p.a", `{"type":"integer","minimum":3}`)},
		"allOf requires":       {obj(`{"type":"object","properties":{"a":{"type":"integer"}},"allOf":[{"required":["a"]}]}`), `{"p":{}}`, missing("input.p.a")},
		"oneOf, none":          {obj(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"oneOf":[{"required":["a"]},{"required":["b"]}]}`), `{"p":{}}`, invalid("input.p", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`)},
		"oneOf, both":          {obj(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"oneOf":[{"required":["a"]},{"required":["b"]}]}`), `{"p":{"a":1,"b":1}}`, invalid("input.p", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`)},
		"anyOf, parts first":   {obj(`{"type":"object","properties":{"a":{"type":"integer"}},"anyOf":[{"required":["a"]}]}`), `{"p":{"a":"x"}}`, invalid("input.p.a", `{"type":"integer"}`)},
		"not":                  {obj(`{"type":"string","not":{"enum":["no"]}}`), `{"p":"no"}`, invalid("input.p", `{"not":{"enum":["no"]}}`)},
		"anyOf lets null pass": {obj(`{"type":"string","nullable":true,"anyOf":[{"minLength":1}]}`), `{"p":null}`, nil},
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

// A rule cannot keep a replica busy: its cost is bounded, and then it fails.
func TestRuleCostIsBounded(t *testing.T) {
	s := compile(t, `{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}},
		"x-kubernetes-validations":[{"rule":"self.a.all(x, self.a.all(y, self.a.all(z, x + y + z >= 0)))"}]}`)
	input := `{"a":[1` + strings.Repeat(",1", 1000) + `]}`
	if got := validate(t, s, input); got == nil || got.Code != errorcode.InvalidInput {
		t.Errorf("Validate = %v, want InvalidInput", got)
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
	tests := map[string]struct{ schema, want string }{
		"no type":            {`{}`, "type: must be object"},
		"not an object":      {`{"type":"array","items":{"type":"string"}}`, "type: must be object"},
		"a type with a typo": {`{"type":"object","properties":{"text":{"type":"strin"}}}`, `properties.text.type: there is no type "strin", expected one of array, boolean,`},
		"no JSON":            {`{`, "read the schema: "},
		"unknown keyword":    {`{"type":"object","properties":{"dpi":{"type":"integer","minimun":1}}}`, "properties.dpi.minimun: there is no such keyword"},
		"unknown in a rule":  {`{"type":"object","x-kubernetes-validations":[{"rule":"true","massage":"x"}]}`, "x-kubernetes-validations[0].massage: there is no such keyword"},
		"property, no type":  {obj(`{"minLength":1}`), "properties[p].type: Required value"},
		"array, no items":    {obj(`{"type":"array"}`), "properties[p].items: Required value"},
		"type in allOf":      {obj(`{"type":"string","allOf":[{"type":"string"}]}`), "properties[p].allOf[0].type: Forbidden"},
		"bad pattern":        {obj(`{"type":"string","pattern":"("}`), "properties[p].pattern: Invalid value"},
		"$ref":               {obj(`{"$ref":"#/definitions/x"}`), "'$ref' is not supported"},
		"embedded resource":  {obj(`{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}`), "properties.p.x-kubernetes-embedded-resource"},
		"rule with a typo":   {`{"type":"object","properties":{"a":{"type":"integer"}},"x-kubernetes-validations":[{"rule":"self.b > 1"}]}`, "undefined field 'b'"},
		"rule, not a bool":   {`{"type":"object","x-kubernetes-validations":[{"rule":"1"}]}`, "must evaluate to a bool"},
		"rule over oldSelf":  {obj(`{"type":"string","x-kubernetes-validations":[{"rule":"self == oldSelf"}]}`), "oldSelf"},
		"zero multipleOf":    {obj(`{"type":"number","multipleOf":0}`), "properties.p.multipleOf: must be above 0"},
		"list map, no keys":  {obj(`{"type":"array","x-kubernetes-list-type":"map","items":{"type":"object"}}`), "x-kubernetes-list-map-keys"},
		"required, unknown":  {`{"type":"object","required":["txt"],"properties":{"text":{"type":"string"}}}`, `required: "txt" is not among the properties`},
		"required in allOf":  {`{"type":"object","properties":{"a":{"type":"object","allOf":[{"required":["b"]}]}}}`, `properties.a.required: "b" is not among`},
		"lengths crossed":    {obj(`{"type":"string","minLength":3,"maxLength":2}`), "properties.p.minLength: must not be above maxLength"},
		"numbers crossed":    {obj(`{"type":"number","minimum":3.5,"maximum":3}`), "properties.p.minimum: must not be above maximum"},
		"items crossed":      {obj(`{"type":"array","items":{"type":"string"},"minItems":3,"maxItems":2}`), "properties.p.minItems: must not be above maxItems"},
		"no value":           {obj(`{"type":"string","enum":[]}`), "properties.p.enum: must have a value"},
		"keyword, bad value": {obj(`{"type":"string","minLength":"x"}`), "read the schema: "},
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

func TestPublish(t *testing.T) {
	for schemaText, want := range map[string]string{
		`{"type":"string","nullable":true}`:                                                                 `{"type":["string","null"]}`,
		`{"type":"string","nullable":true,"enum":["a"]}`:                                                    `{"enum":["a"],"type":"string"}`,
		`{"type":"string","nullable":true,"enum":["a",null]}`:                                               `{"enum":["a",null],"type":["string","null"]}`,
		`{"type":"string","nullable":true,"anyOf":[{"enum":["a"]}]}`:                                        `{"anyOf":[{"type":"null"},{"anyOf":[{"enum":["a"]}],"type":"string"}]}`,
		`{"x-kubernetes-int-or-string":true}`:                                                               `{"type":["integer","string"]}`,
		`{"x-kubernetes-int-or-string":true,"nullable":true}`:                                               `{"type":["integer","string","null"]}`,
		`{"type":"array","items":{"type":"object"}}`:                                                        `{"items":{"additionalProperties":false,"type":"object"},"type":"array"}`,
		`{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}`:                         `{"items":{"type":"string"},"type":"array","uniqueItems":true}`,
		`{"type":"array","x-kubernetes-preserve-unknown-fields":true,"items":{"type":"object"}}`:            `{"items":{"additionalProperties":true,"type":"object"},"type":"array"}`,
		`{"type":"number","minimum":0,"exclusiveMinimum":true,"maximum":1,"exclusiveMaximum":false}`:        `{"exclusiveMinimum":0,"maximum":1,"type":"number"}`,
		`{"type":"string","example":"x","x-kubernetes-validations":[{"rule":"self != 'a' && self < 'b'"}]}`: `{"examples":["x"],"type":"string","x-rules":[{"rule":"self != 'a' && self < 'b'"}]}`,
	} {
		got, err := schema.Publish(&apiextensionsv1.JSON{Raw: []byte(obj(schemaText))})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(`{"additionalProperties":false,"properties":{"p":`+want+`},"type":"object"}`, string(got)); diff != "" {
			t.Errorf("Publish(%s) (-want +got):\n%s", schemaText, diff)
		}
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
