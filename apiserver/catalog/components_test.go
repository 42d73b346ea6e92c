// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decoded returns a JSON object as catalog.publish does.
func decoded(t *testing.T, text string) (o object) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestEmbed checks that each place that a reference names becomes a component, and that
// keywords that generators do not know become others with the same meaning.
func TestEmbed(t *testing.T) {
	for name, test := range map[string]struct{ schema, want string }{
		"definitions": {
			`{"$defs":{"A":{"title":"A","type":"string"}},"properties":{"a":{"$ref":"#/$defs/A"},"b":{"items":{"$ref":"#/$defs/A"},"type":"array"}}}`,
			`{"In":{"properties":{"a":{"$ref":"#/components/schemas/InA"},"b":{"items":{"$ref":"#/components/schemas/InA"},"type":"array"}}},"InA":{"type":"string"}}`,
		},
		"recursion": {
			`{"$defs":{"A":{"properties":{"a":{"$ref":"#/$defs/A"},"all":{"$ref":"#"}}}},"$ref":"#/$defs/A"}`,
			`{"In":{"$ref":"#/components/schemas/InA"},"InA":{"properties":{"a":{"$ref":"#/components/schemas/InA"},"all":{"$ref":"#/components/schemas/In"}}}}`,
		},
		"names that differ in case": {
			`{"$defs":{"a":{"type":"string"},"A":{"type":"integer"}},"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/A"}]}`,
			`{"In":{"allOf":[{"$ref":"#/components/schemas/InA"},{"$ref":"#/components/schemas/InA_2"}]},"InA":{"type":"string"},"InA_2":{"type":"integer"}}`,
		},
		"any place, with escapes": {
			`{"properties":{"a/b":{"anyOf":[{"type":"string"}]},"c":{"$ref":"#/properties/a~1b/anyOf/0"},"d":{"$ref":"#/properties/a%7E1b"}}}`,
			`{"In":{"properties":{"a/b":{"anyOf":[{"type":"string"}]},"c":{"$ref":"#/components/schemas/In0"},"d":{"$ref":"#/components/schemas/InA7E1b"}}},"In0":{"type":"string"},"InA7E1b":{"anyOf":[{"type":"string"}]}}`,
		},
		"no such place": {`{"properties":{"a":{"$ref":"#/$defs/A"},"b":{"$ref":"other.json"}}}`, `{"In":{"properties":{"a":{},"b":{}}}}`},
		"discriminator": {
			`{"$defs":{"A":{},"B":{}},"discriminator":{"mapping":{"a":"#/$defs/A"},"propertyName":"k"},"oneOf":[{"$ref":"#/$defs/A"}]}`,
			`{"In":{"discriminator":{"mapping":{"a":"#/components/schemas/InA"},"propertyName":"k"},"oneOf":[{"$ref":"#/components/schemas/InA"}]},"InA":{}}`,
		},
		"booleans":          {`{"properties":{"a":true,"b":false},"additionalProperties":false}`, `{"In":{"additionalProperties":false,"properties":{"a":{},"b":{"not":{}}}}}`},
		"keywords":          {`{"$schema":"s","$id":"i","title":"t","type":"array","const":[1.0],"default":[]}`, `{"In":{"enum":[[1.0]],"items":{},"type":"array","x-default":[]}}`},
		"exclusive integer": {`{"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":9}`, `{"In":{"maximum":8,"minimum":1,"type":"integer","x-exclusiveMaximum":9,"x-exclusiveMinimum":0}}`},
		"exclusive number":  {`{"type":"number","exclusiveMinimum":0.5,"minimum":1}`, `{"In":{"minimum":1,"type":"number","x-exclusiveMinimum":0.5}}`},
		"values, not schemas": {
			`{"enum":[{"$ref":"#/$defs/A","const":1}],"examples":[true],"properties":{"const":{"type":"string"}}}`,
			`{"In":{"enum":[{"$ref":"#/$defs/A","const":1}],"examples":[true],"properties":{"const":{"type":"string"}}}}`,
		},
		"of the wrong type": {`{"properties":1,"anyOf":{},"items":"x","discriminator":2,"$ref":3}`, `{"In":{"anyOf":{},"discriminator":2,"items":"x","properties":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			components := object{}
			embed(components, "In", decoded(t, test.schema))
			got, err := json.Marshal(components)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decoded(t, test.want), decoded(t, string(got))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestPrefix checks that the names of two types' schemas differ in more than case and
// punctuation, also from the schemas of the contract.
func TestPrefix(t *testing.T) {
	d := &openAPIDocument{Components: map[string]object{"schemas": {}}}
	for name := range map[string]bool{"Process": true, "ProcessList": true, "InvalidInput": true} {
		d.Components["schemas"][name] = object{}
	}
	for _, test := range []struct{ typeName, want string }{
		{"order", "Order"}, {"order-2", "Order2"}, {"order2", "Order2_2"}, {"order.2", "Order2_3"}, {"invalid", "Invalid_2"}, {"2fa", "Type2fa"},
	} {
		got := d.prefix(test.typeName)
		if got != test.want {
			t.Errorf("the prefix of %s is %s, want %s", test.typeName, got, test.want)
		}
		for _, name := range typeSchemas {
			d.Components["schemas"][got+name] = object{}
		}
	}
}
