// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func TestExampleIn(t *testing.T) {
	for name, test := range map[string]struct{ schema, want string }{
		"its own":                  {`{"type":"object","examples":[{"a":1.0},{"a":3}],"properties":{"a":{"examples":[2]}}}`, `{"a":1.0}`},
		"as in OpenAPI":            {`{"type":"object","example":{"a":1.0},"properties":{"a":{"example":2}}}`, `{"a":1.0}`},
		"of the properties":        {`{"type":"object","required":["a"],"properties":{"a":{"examples":[2]},"b":{"default":"x"},"c":true}}`, `{"a":2,"b":"x"}`},
		"deeper":                   {`{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"example":[1]}}}}}`, `{"a":{"b":[1]}}`},
		"a required one is absent": {`{"type":"object","required":["c"],"properties":{"a":{"example":2},"c":{}}}`, ""},
		"absent, deeper":           {`{"type":"object","required":["a"],"properties":{"a":{"type":"object","required":["b"]},"c":{"example":1}}}`, ""},
		"empty":                    {`{"type":"object","example":{}}`, ""},
		"none":                     {`{"type":"object"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := exampleIn(&apiextensionsv1.JSON{Raw: []byte(test.schema)})
			if string(got) != test.want && ok || ok != (test.want != "") {
				t.Errorf("got %s, %t, want %s", got, ok, test.want)
			}
		})
	}
	if _, ok := exampleIn(nil); ok {
		t.Error("no schema has an example")
	}
}
