// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/strictjson"
)

const linesSchema = `{"type":"object","required":["lines"],"properties":{"lines":{"type":"array","items":{"type":"object","properties":{
	"text":{"type":"string","maxLength":5},"n":{"type":"integer"}}}}},
	"x-kubernetes-validations":[{"rule":"size(self.lines) < 3","message":"at most two lines"}]}`

// processType returns a type with these schemas, absent if "", and limits.
func processType(inputSchema, outputSchema string, maxBytes int) *v1alpha1.ProcessType {
	t := &v1alpha1.ProcessType{}
	if inputSchema != "" {
		t.Spec.InputSchema = &apiextensionsv1.JSON{Raw: []byte(inputSchema)}
	}
	if outputSchema != "" {
		t.Spec.OutputSchema = &apiextensionsv1.JSON{Raw: []byte(outputSchema)}
	}
	t.Spec.Limits.InputBytes, t.Spec.Limits.OutputBytes = int32(maxBytes), int32(maxBytes)
	return t
}

// violation returns the code and the details of a violation as one text, "" for none.
func violation(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	v, ok := errors.AsType[*rules.Violation](err)
	if !ok {
		t.Fatalf("%v is not a Violation", err)
	}
	if !json.Valid([]byte(v.ErrorDetails())) {
		t.Errorf("the details are not JSON: %s", v.ErrorDetails())
	}
	return v.Code + " " + v.ErrorDetails()
}

// A text that is checked alone and one that is a part of a body are held to the same
// rules.
func TestCheckInput(t *testing.T) {
	for name, test := range map[string]struct {
		schema, input, want string
	}{
		"valid":            {linesSchema, `{"lines":[{"text":"a","n":1.0}]}`, ""},
		"no schema":        {"", `{"a":{"b":[1e5,null]}}`, ""},
		"no schema, array": {"", `[]`, `InvalidInput {"in":"body","at":"input","expected":{"type":"object"}}`},
		"type":             {linesSchema, `{"lines":["a"]}`, `InvalidInput {"in":"body","at":"input.lines[0]","expected":{"type":"object"}}`},
		"missing":          {linesSchema, `{}`, `MissingInput {"in":"body","at":"input.lines"}`},
		"unknown":          {linesSchema, `{"lines":[],"b":1}`, `UnrecognizedInput {"in":"body","at":"input.b"}`},
		"number":           {linesSchema, `5`, `InvalidInput {"in":"body","at":"input","expected":{"type":"object"}}`},
		"null":             {linesSchema, `null`, `InvalidInput {"in":"body","at":"input","expected":{"type":"object"}}`},
		"at the limit":     {"", `{"a":"` + strings.Repeat("a", 92) + `"}`, ""},
		"over the limit":   {linesSchema, `{"a":"` + strings.Repeat("a", 93) + `"}`, `InputTooLarge {"in":"body","at":"input","expected":{"maxBytes":100}}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := rules.New(processType(test.schema, "", 100))
			if diff := cmp.Diff(test.want, violation(t, r.CheckInput([]byte(test.input)))); diff != "" {
				t.Errorf("CheckInput (-want +got):\n%s", diff)
			}
			body, err := r.Parse([]byte(`{"input": ` + test.input + `}`))
			if err != nil {
				t.Fatal(err)
			}
			value, _ := body.Member("input")
			if diff := cmp.Diff(test.want, violation(t, r.CheckParsedInput(value))); diff != "" {
				t.Errorf("CheckParsedInput (-want +got):\n%s", diff)
			}
		})
	}
	// What is not JSON is an error of Parse for a body.
	for input, want := range map[string]string{
		``:                  `InvalidInput {"in":"body","at":"input"}`,
		`{"a":`:             `InvalidInput {"in":"body","at":"input.a"}`,
		`{"a b":1,"a b":1}`: `InvalidInput {"in":"body","at":"input[\"a b\"]"}`,
	} {
		r := rules.New(processType(linesSchema, "", 100))
		if diff := cmp.Diff(want, violation(t, r.CheckInput([]byte(input)))); diff != "" {
			t.Errorf("CheckInput(%s) (-want +got):\n%s", input, diff)
		}
		if _, err := r.Parse([]byte(input)); err == nil {
			t.Errorf("Parse(%s) returns no error", input)
		} else if _, ok := errors.AsType[*strictjson.Error](err); !ok {
			t.Errorf("Parse(%s) returns a %T", input, err)
		}
	}
}

func TestCheckOutput(t *testing.T) {
	const (
		violated = `"message":"the output is not what the type's outputSchema asks for"}`
		missing  = `"message":"the type's outputSchema requires a property that the output does not have"}`
		unnamed  = `"message":"the output has a property that the type's outputSchema does not name"}`
	)
	r := rules.New(processType("", linesSchema, 60))
	for name, test := range map[string]struct{ output, want string }{
		"valid":          {`{"lines":[{"text":"a","n":1.0}]}`, ""},
		"type":           {`{"lines":["a"]}`, `OutputInvalid {"in":"output","at":"output.lines[0]","expected":{"type":"object"},` + violated},
		"bound":          {`{"lines":[{"text":"longer"}]}`, `OutputInvalid {"in":"output","at":"output.lines[0].text","expected":{"type":"string","maxLength":5},` + violated},
		"missing":        {`{}`, `OutputInvalid {"in":"output","at":"output.lines",` + missing},
		"unnamed":        {`{"lines":[{"text":"a"},{"txet":"b"}]}`, `OutputInvalid {"in":"output","at":"output.lines[1].txet",` + unnamed},
		"rule":           {`{"lines":[{},{},{}]}`, `OutputInvalid {"in":"output","at":"output","expected":{"rule":"size(self.lines) \u003c 3","message":"at most two lines"},` + violated},
		"not JSON":       {`{"lines":`, `OutputInvalid {"in":"output","at":"output.lines",` + violated},
		"not an object":  {`[]`, `OutputInvalid {"in":"output","at":"output","expected":{"type":"object"},` + violated},
		"over the limit": {`{"lines":[],"a":"` + strings.Repeat("a", 42) + `"}`, `OutputTooLarge {"in":"output","bytes":61,"maxBytes":60,"message":"the output is larger than limits.outputBytes of the type"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, violation(t, r.CheckOutput([]byte(test.output)))); diff != "" {
				t.Errorf("CheckOutput (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSchemasThatAreNotValid(t *testing.T) {
	r := rules.New(processType(`{"type":"objekt"}`, `{"type":"object","minimun":1}`, 10))
	if err := r.CheckInput([]byte(`{}`)); err == nil || !strings.HasPrefix(err.Error(), "spec.inputSchema: /type: value must be one of") || !errors.Is(err, r.InputSchemaError()) {
		t.Errorf("CheckInput = %v, want an error about spec.inputSchema", err)
	}
	if err := r.CheckOutput([]byte(`{}`)); err == nil || !strings.HasPrefix(err.Error(), "spec.outputSchema: /minimun: ") || !errors.Is(err, r.OutputSchemaError()) {
		t.Errorf("CheckOutput = %v, want an error about spec.outputSchema", err)
	}
	// A violation that needs no schema counts first.
	if got := violation(t, r.CheckOutput([]byte(`{"a":12345}`))); !strings.HasPrefix(got, "OutputTooLarge ") {
		t.Errorf("CheckOutput of a large output = %q, want OutputTooLarge", got)
	}
	valid := rules.New(processType(linesSchema, linesSchema, 10))
	if err := errors.Join(valid.InputSchemaError(), valid.OutputSchemaError()); err != nil {
		t.Errorf("schemas that are valid: %v", err)
	}
}

func TestCache(t *testing.T) {
	var cache rules.Cache
	of := func(namespace string, uid types.UID, generation int64) *rules.Rules {
		pt := processType("", "", 0)
		pt.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: "t", UID: uid, Generation: generation}
		return cache.Of(pt)
	}
	first := of("a", "1", 1)
	other := of("b", "1", 1)
	if of("a", "1", 1) != first || other == first {
		t.Error("rules are not kept by namespace and name")
	}
	second := of("a", "1", 2)
	third := of("a", "2", 2)
	if second == first || third == second || of("a", "2", 2) != third {
		t.Error("rules are not kept by UID and generation")
	}
	cache.Forget(types.NamespacedName{Namespace: "a", Name: "t"})
	if of("a", "2", 2) == third || of("b", "1", 1) != other {
		t.Error("not exactly the rules of a type that was deleted are forgotten")
	}
}

func TestCacheIsSafeForConcurrentUse(t *testing.T) {
	var cache rules.Cache
	pt := processType(linesSchema, "", 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if err := cache.Of(pt).CheckInput([]byte(`{"lines":[]}`)); err != nil {
					t.Error(err)
				}
				cache.Forget(types.NamespacedName{})
			}
		})
	}
	wg.Wait()
}

// Whatever the input is, nothing panics and each place begins with the root.
func FuzzCheckInput(f *testing.F) {
	r := rules.New(processType(linesSchema, "", 1<<20))
	for _, seed := range []string{`{"lines":[{"n":1e400}]}`, `{"lines":[{"n":1,"7":0}]}`, `[]`, `{"a":{"a":1,"a":2}}`, `{"lines":[{},{},{}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		err := r.CheckInput(input)
		if v, ok := errors.AsType[*rules.Violation](err); err != nil && (!ok || !strings.HasPrefix(v.Details.At, "input")) {
			t.Errorf("CheckInput(%s) = %v", input, err)
		}
	})
}
