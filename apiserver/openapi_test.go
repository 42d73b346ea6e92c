package apiserver_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
)

// The description has a type's schema as it is, and whatever one type's schema
// holds, the other types are described.
func TestDescriptionOfAnySchema(t *testing.T) {
	property := func(keywords string) string {
		return `{"additionalProperties":false,"properties":{"a":{` + keywords + `}},"type":"object"}`
	}
	for name, test := range map[string]struct {
		schema string
		out    bool // the type is left out
	}{
		"a quote of Windows-1252":  {property(`"description":"the page\u0092s text","type":"string"`), false},
		"DEL and C1":               {property(`"pattern":"^[^\u007f-\u009f]*$","type":"string"`), false},
		"control characters":       {property(`"pattern":"^[^\u0000-\u001f]*$","type":"string"`), false},
		"U+FFFF":                   {property(`"description":"\uffff","type":"string"`), false},
		"byte order mark":          {property(`"description":"\ufeffx","type":"string"`), false},
		"beyond the BMP":           {property(`"description":"\ud83d\ude00","type":"string"`), false},
		"a long key":               {property(`"properties":{"` + strings.Repeat("k", 2000) + `":{"type":"string"}}`), false},
		"a merge key":              {property(`"properties":{"<<":{"type":"string"}}`), false},
		"digits":                   {property(`"maximum":12345678901234567890.0,"type":"number"`), false},
		"what looks like YAML":     {property(`"enum":["yes","0x1","~","2026-01-01","&a"]`), false},
		"a list like a reference":  {property(`"enum":["$ref","#/components/schemas/Input"]`), false},
		"a value like a reference": {property(`"default":{"$ref":"#/components/schemas/Input"}`), false},
		"a property called $ref":   {property(`"properties":{"$ref":{"enum":["#/components/schemas/Input"]}}`), false},
		"no object":                {`[]`, true},
		"no JSON":                  {`{`, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			for _, side := range []string{"Input", "Output"} {
				f.register("new", 2, func(pt *v1alpha1.ProcessType) {
					pt.UID, pt.Spec.Description = types.UID(side), "a\u0092b"
					into := &pt.Spec.InputSchema
					if side == "Output" {
						into = &pt.Spec.OutputSchema
					}
					*into = &apiextensionsv1.JSON{Raw: []byte(test.schema)}
				})
				var got struct {
					Paths      map[string]any
					Components struct{ Schemas map[string]json.RawMessage }
				}
				if err := json.Unmarshal([]byte(f.get("/openapi.json").body), &got); err != nil {
					t.Fatal(err)
				}
				schemas := got.Components.Schemas
				if got.Paths["/v1/processes/echo"] == nil || len(schemas["Input.echo"]) == 0 {
					t.Error("echo is not described")
				}
				listed := f.get("/v1/processTypes")
				if listed.status != 200 || !strings.Contains(listed.body, `"name":"echo"`) {
					t.Errorf("the types are %d: %s", listed.status, listed.body)
				}
				if test.out {
					if got.Paths["/v1/processes/new"] != nil || strings.Contains(listed.body, `"name":"new"`) {
						t.Error("the type is described")
					}
					continue
				}
				if diff := cmp.Diff(plain(t, test.schema), plain(t, string(schemas[side+".new"]))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", side, diff)
				}
				if want := `{"$ref":"#/components/schemas/Input.new"}`; !strings.Contains(string(schemas["Submission.new"]), want) {
					t.Errorf("what is submitted is %s, not %s", schemas["Submission.new"], want)
				}
			}
		})
	}
}

// plain is JSON as Go values, with all digits.
func plain(t *testing.T, text string) (value any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}
