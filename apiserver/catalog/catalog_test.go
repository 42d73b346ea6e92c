// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/catalog"
)

const namespace = "work"

var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// newCatalog returns a catalog with the types echo and ocr, which has the alias
// ocrReaders.
func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	contract, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.New(contract)
	c.Set(newType("ocr", 0, func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"ocrReaders"} }))
	c.Set(newType("echo", 1, nil))
	return c
}

// newType returns a type that was created some seconds after the epoch.
func newType(name string, created int, change func(*v1alpha1.ProcessType)) *v1alpha1.ProcessType {
	pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: namespace, UID: types.UID("uid-" + name), Generation: 1,
		CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(created) * time.Second)),
	}}
	if change != nil {
		change(pt)
	}
	return pt
}

// nameOf returns the object name of the type that a name means, "" if it is not usable.
func nameOf(c *catalog.Catalog, name string) string {
	t, err := c.Usable(namespace, name)
	if err != nil {
		return ""
	}
	return t.Name
}

func accepted(status metav1.ConditionStatus, generation int64, message string) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, ObservedGeneration: generation, Message: message}}
}

// A type is not usable because of its condition or, before the operator has checked it,
// because of its schema. A condition of an earlier generation does not count.
func TestTypeThatIsNotAccepted(t *testing.T) {
	broken := &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","minimun":1}`)}
	others := []string{"echo", "ocr", "ocrReaders"}
	for name, test := range map[string]struct {
		schema     *apiextensionsv1.JSON
		conditions []metav1.Condition
		message    string // "" if it is usable
		listed     bool
	}{
		"accepted":                      {nil, accepted("True", 1, ""), "", true},
		"not checked yet":               {nil, nil, "", true},
		"refused":                       {nil, accepted("False", 1, "spec.template: no"), "spec.template: no", false},
		"an earlier generation refused": {nil, accepted("False", 0, "spec.template: no"), "", true},
		"a wrong schema, not checked":   {broken, nil, "spec.inputSchema: /minimun: ", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCatalog(t)
			c.Set(newType("shaky", 2, func(pt *v1alpha1.ProcessType) {
				pt.Spec.InputSchema, pt.Status.Conditions = test.schema, test.conditions
			}))
			_, err := c.Usable(namespace, "shaky")
			names := others
			if test.listed {
				names = append(slices.Clone(others), "shaky")
			}
			unusable, ok := errors.AsType[*catalog.UnusableError](err)
			switch {
			case !ok && (err != nil || test.message != ""):
				t.Errorf("the error is %v, want one with %q", err, test.message)
			case ok && (test.message == "" || !strings.HasPrefix(unusable.Message, "process type shaky is not accepted: "+test.message) || !slices.Equal(unusable.Names, names)):
				t.Errorf("the error is %q with %v, want %q with %v", unusable.Message, unusable.Names, test.message, names)
			}
			for what, get := range map[string]func(string) (catalog.Document, error){"the types": c.ProcessTypes, "the description": c.OpenAPI} {
				d, err := get(namespace)
				if err != nil {
					t.Fatal(err)
				}
				if listed := strings.Contains(string(d.Body), "shaky"); listed != test.listed {
					t.Errorf("%s have it: %t, want %t", what, listed, test.listed)
				}
			}
		})
	}
}

// The operator reports its verdict as a change of the status only. A change of counts
// changes no document.
func TestStatusChanges(t *testing.T) {
	c := newCatalog(t)
	etag := func() string {
		d, err := c.OpenAPI(namespace)
		if err != nil {
			t.Fatal(err)
		}
		return d.ETag
	}
	for _, status := range []metav1.ConditionStatus{"", "True", "False", "True"} {
		echo := newType("echo", 1, func(pt *v1alpha1.ProcessType) {
			if status != "" {
				pt.Status.Conditions = accepted(status, 1, "")
			}
		})
		c.Set(echo)
		if usable := nameOf(c, "echo") != ""; usable != (status != "False") {
			t.Errorf("Accepted is %q: usable is %t", status, usable)
		}
		before := etag()
		counted := echo.DeepCopy()
		counted.Status.Finished = new(int32(7))
		c.Set(counted)
		if etag() != before {
			t.Errorf("counts change the description")
		}
	}
}

// An object name wins over an alias, the oldest type keeps an alias, and both follow the
// types.
func TestNamesAndAliases(t *testing.T) {
	c := newCatalog(t)
	want := func(name, typeName string) {
		t.Helper()
		if got := nameOf(c, name); got != typeName {
			t.Errorf("%s means %q, want %q", name, got, typeName)
		}
	}
	claim := func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"echo", "shared"} }
	c.Set(newType("younger", 9, claim))
	c.Set(newType("older", 5, claim))
	want("shared", "older")
	want("echo", "echo")
	want("younger", "younger")
	want("ocrReaders", "ocr")
	want("ocrreaders", "")
	c.Delete(newType("older", 5, nil))
	want("shared", "younger")
	want("older", "")
	c.Set(newType("younger", 9, func(pt *v1alpha1.ProcessType) { pt.Generation = 2 }))
	want("shared", "")
	for _, name := range []string{"younger", "echo", "ocr"} {
		c.Delete(newType(name, 0, nil))
	}
	_, err := c.Usable(namespace, "echo")
	if unusable, ok := errors.AsType[*catalog.UnusableError](err); !ok || unusable.Names == nil || len(unusable.Names) != 0 || unusable.Message != "" {
		t.Errorf("without any type the error is %v", err)
	}
}

// A namespace has its own types, and documents of its own.
func TestNamespacesAreSeparate(t *testing.T) {
	c := newCatalog(t)
	other := newType("echo", 0, func(pt *v1alpha1.ProcessType) {
		pt.Namespace, pt.UID, pt.Spec.Description = "other", "uid-other", "of the other namespace"
	})
	c.Set(other)
	if got := c.Lookup("other", "echo"); got == nil || got.UID != "uid-other" {
		t.Errorf("echo of the other namespace is %v", got)
	}
	if got := c.Lookup("other", "ocr"); got != nil {
		t.Errorf("the other namespace has ocr: %v", got)
	}
	for ns, want := range map[string]bool{"other": true, namespace: false, "empty": false} {
		d, err := c.ProcessTypes(ns)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(d.Body), "of the other namespace"); got != want {
			t.Errorf("%s: the types have that of the other namespace: %t", ns, got)
		}
	}
	c.Delete(other)
	if c.Lookup(namespace, "echo") == nil {
		t.Error("a delete in another namespace has removed echo")
	}
}

// The description contains a type's schema as it is. A schema that cannot be published
// hides only its own type.
func TestDescriptionOfAnySchema(t *testing.T) {
	property := func(keywords string) string {
		return `{"additionalProperties":false,"properties":{"a":{` + keywords + `}},"type":"object"}`
	}
	for name, test := range map[string]struct {
		schema string
		hidden bool
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
		"text like YAML":           {property(`"enum":["yes","0x1","~","2026-01-01","&a"]`), false},
		"a list like a reference":  {property(`"enum":["$ref","#/components/schemas/Input"]`), false},
		"a value like a reference": {property(`"examples":[{"$ref":"#/components/schemas/Input"}]`), false},
		"a property called $ref":   {property(`"properties":{"$ref":{"enum":["#/components/schemas/Input"]}}`), false},
		"not an object":            {`[]`, true},
		"not JSON":                 {`{`, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, side := range []string{"Input", "Output"} {
				c := newCatalog(t)
				c.Set(newType("new", 2, func(pt *v1alpha1.ProcessType) {
					pt.Spec.Description = "a\u0092b"
					schema := &apiextensionsv1.JSON{Raw: []byte(test.schema)}
					if side == "Input" {
						pt.Spec.InputSchema = schema
					} else {
						pt.Spec.OutputSchema = schema
					}
				}))
				description, err := c.OpenAPI(namespace)
				if err != nil {
					t.Fatal(err)
				}
				var got struct {
					Paths      map[string]any
					Components struct{ Schemas map[string]json.RawMessage }
				}
				if err := json.Unmarshal(description.Body, &got); err != nil {
					t.Fatal(err)
				}
				schemas := got.Components.Schemas
				if got.Paths["/v1/processes/echo"] == nil || len(schemas["EchoInput"]) == 0 {
					t.Error("echo is not described")
				}
				listed, err := c.ProcessTypes(namespace)
				if err != nil || !strings.Contains(string(listed.Body), `"name":"echo"`) {
					t.Errorf("the types are %v: %s", err, listed.Body)
				}
				if test.hidden {
					if got.Paths["/v1/processes/new"] != nil || strings.Contains(string(listed.Body), `"name":"new"`) {
						t.Error("the type is described")
					}
					continue
				}
				if diff := cmp.Diff(parsed(t, test.schema), parsed(t, string(schemas["New"+side]))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", side, diff)
				}
				if want := `{"$ref":"#/components/schemas/NewInput"}`; !strings.Contains(string(schemas["NewSubmission"]), want) {
					t.Errorf("the submission is %s, want it to have %s", schemas["NewSubmission"], want)
				}
			}
		})
	}
}

// parsed returns JSON as Go values, with all digits.
func parsed(t *testing.T, text string) (value any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}
