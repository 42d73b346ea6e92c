package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/schema"
)

const linesSchema = `{"type":"object","required":["lines"],"properties":{"lines":{"type":"array","items":{"type":"object","properties":{
	"text":{"type":"string","maxLength":5},"n":{"type":"integer"}}}}},
	"x-kubernetes-validations":[{"rule":"size(self.lines) < 3","message":"at most two lines"}]}`

func TestCheckOutput(t *testing.T) {
	compiled, err := schema.Compile(&apiextensionsv1.JSON{Raw: []byte(linesSchema)})
	if err != nil {
		t.Fatal(err)
	}
	started := time.Unix(1e9, 0)
	const (
		violated = `"message":"the output is not what the type's outputSchema asks for"}`
		missing  = `"message":"the type's outputSchema requires a property that the output does not have"}`
		unnamed  = `"message":"the output has a property that the type's outputSchema does not name"}`
	)
	for name, test := range map[string]struct {
		output, details string // details "" is valid
	}{
		"valid":    {`{"lines":[{"text":"a","n":1.0}]}`, ""},
		"type":     {`{"lines":["a"]}`, `{"in":"output","at":"output.lines[0]","expected":{"type":"object"},` + violated},
		"bound":    {`{"lines":[{"text":"longer"}]}`, `{"in":"output","at":"output.lines[0].text","expected":{"type":"string","maxLength":5},` + violated},
		"missing":  {`{}`, `{"in":"output","at":"output.lines",` + missing},
		"unnamed":  {`{"lines":[{"text":"a"},{"txet":"b"}]}`, `{"in":"output","at":"output.lines[1].txet",` + unnamed},
		"rule":     {`{"lines":[{},{},{}]}`, `{"in":"output","at":"output","expected":{"rule":"size(self.lines) \u003c 3","message":"at most two lines"},` + violated},
		"not JSON": {`{"lines":`, `{"in":"output","at":"output.lines",` + violated},
	} {
		t.Run(name, func(t *testing.T) {
			r := agentapi.Result{Attempt: 2, StartTime: started, Output: test.output}
			want := r
			if test.details != "" {
				want = agentapi.Result{Attempt: 2, StartTime: started, ErrorCode: "OutputInvalid", ErrorDetails: test.details}
			}
			if diff := cmp.Diff(want, (OutputRules{Schema: compiled}).Check(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
	large := OutputRules{MaxBytes: 6}.Check(agentapi.Result{Attempt: 2, Output: `{"a":1}`})
	if large.ErrorCode != "OutputTooLarge" || large.Attempt != 2 || !strings.Contains(large.ErrorDetails, `"bytes":7,"in":"output","maxBytes":6`) {
		t.Errorf("an output over the limit is %+v", large)
	}
	if fits := (OutputRules{MaxBytes: 7}).Check(agentapi.Result{Output: `{"a":1}`}); !fits.Complete() {
		t.Errorf("an output at the limit is %+v", fits)
	}
	crash := agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}
	if diff := cmp.Diff(crash, (OutputRules{Schema: compiled}).Check(crash)); diff != "" {
		t.Error(diff)
	}
}

func TestOutputSchemas(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "work"}, Spec: v1alpha1.ProcessSpec{Type: "t"}}
	a := agentapi.Result{Output: `{"a":1}`}
	var schemas outputSchemas
	var last OutputRules
	// One after the other: each step finds what the steps before have left.
	for _, step := range []struct {
		name       string
		uid        types.UID // "" is no type
		generation int64
		text       string
		unchecked  bool
		code       string
		same       bool // the schema of the step before
	}{
		{name: "first", uid: "1", generation: 1, text: `{"type":"object","properties":{"b":{"type":"integer"}}}`, code: "OutputInvalid"},
		{name: "again", uid: "1", generation: 1, text: `{"type":"object"}`, code: "OutputInvalid", same: true},
		{name: "changed", uid: "1", generation: 2, text: `{"type":"object","properties":{"a":{"type":"integer"}}}`},
		{name: "no longer valid", uid: "1", generation: 3, text: `{"type":"objekt"}`, unchecked: true},
		{name: "without a schema", uid: "1", generation: 4},
		{name: "deleted", unchecked: true},
		{name: "another of that name", uid: "2", generation: 4, text: `{"type":"object","properties":{"b":{"type":"integer"}}}`, code: "OutputInvalid"},
	} {
		builder := fake.NewClientBuilder().WithScheme(scheme)
		if step.uid != "" {
			pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "work", UID: step.uid, Generation: step.generation}}
			if step.text != "" {
				pt.Spec.OutputSchema = &apiextensionsv1.JSON{Raw: []byte(step.text)}
			}
			builder = builder.WithObjects(pt)
		}
		s, err := schemas.of(t.Context(), builder.Build(), p)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case (s.Schema == nil) != step.unchecked:
			t.Errorf("%s: the schema is %v", step.name, s)
		case s.Check(a).ErrorCode != step.code:
			t.Errorf("%s: got %+v, want code %q", step.name, s.Check(a), step.code)
		case (s.MaxBytes == 0) != (step.uid == ""):
			t.Errorf("%s: the limit is %d", step.name, s.MaxBytes)
		case step.same && s != last:
			t.Errorf("%s: it was compiled anew", step.name)
		}
		last = s
	}
}
