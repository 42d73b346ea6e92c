package apiserver_test

import (
	"net/http"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
)

// A type that is not accepted: by its condition, or, before the operator has
// looked, by its schema. What the operator said of an earlier form is nothing.
func TestTypeThatIsNotAccepted(t *testing.T) {
	f := newFacade(t)
	broken := &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","minimun":1}`)}
	refused := func(message, types string) string {
		return `{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":[` + types + `]},` +
			`"message":"process type shaky is not accepted: ` + message + `"}}`
	}
	said := func(status metav1.ConditionStatus, generation int64, message string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, ObservedGeneration: generation, Message: message}}
	}
	const others = `"echo","ocr","ocrReaders"`
	for name, test := range map[string]struct {
		schema     *apiextensionsv1.JSON
		conditions []metav1.Condition
		refusal    string // none when empty
		listed     bool
	}{
		"accepted":                             {nil, said("True", 1, ""), "", true},
		"not looked at":                        {nil, nil, "", true},
		"refused":                              {nil, said("False", 1, "spec.template: no"), refused("spec.template: no", others), false},
		"refused in an earlier form":           {nil, said("False", 0, "spec.template: no"), "", true},
		"a schema that is none, not looked at": {broken, nil, refused("spec.inputSchema: minimun: there is no such keyword", others+`,"shaky"`), true},
	} {
		t.Run(name, func(t *testing.T) {
			f.register("shaky", 2, func(pt *v1alpha1.ProcessType) {
				pt.UID = types.UID(name) // another one each time
				pt.Spec.InputSchema, pt.Status.Conditions = test.schema, test.conditions
			})
			got := f.post("/v1/processes/shaky", `{"input":{}}`)
			if test.refusal == "" && got.status != 200 {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if test.refusal != "" {
				f.want(got, 480, test.refusal)
			}
			for _, path := range []string{"/v1/processTypes", "/openapi.json"} {
				if described := strings.Contains(f.get(path).body, "shaky"); described != test.listed {
					t.Errorf("%s names it: %t, want %t", path, described, test.listed)
				}
			}
		})
	}
}

// The operator's verdict comes as a change of the status alone, and so do counts.
func TestVerdictComesLater(t *testing.T) {
	f := newFacade(t)
	echo := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: namespace, UID: "uid-echo", Generation: 1}}
	for _, status := range []metav1.ConditionStatus{"", "True", "False", "True"} {
		echo = echo.DeepCopy()
		if status != "" {
			echo.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, ObservedGeneration: 1}}
		}
		f.types.OnUpdate(nil, echo)
		want := 200
		if status == "False" {
			want = 480
		}
		if got := f.post("/v1/processes/echo", `{"input":{}}`); got.status != want {
			t.Errorf("accepted is %q: status %d, want %d: %s", status, got.status, want, got.body)
		}
		before := f.get("/openapi.json").header.Get("ETag")
		counted := echo.DeepCopy()
		counted.Status.Finished = new(int32(7))
		f.types.OnUpdate(echo, counted)
		if after := f.get("/openapi.json").header.Get("ETag"); after != before {
			t.Errorf("counts change what is said about the types")
		}
	}
}

// Aliases: names beat them, the older type keeps them, and they come and go.
func TestTypesComeAndGo(t *testing.T) {
	f := newFacade(t)
	location := func(name string) string {
		got := f.post("/v1/processes/"+name, `{"input":{}}`).header.Get("Content-Location")
		return strings.TrimPrefix(got, "/v1/processes/")
	}
	claim := func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"echo", "shared"} }
	f.register("younger", 9, claim)
	f.register("older", 5, claim)
	for name, want := range map[string]string{"shared": "older/", "echo": "echo/", "younger": "younger/"} {
		if got := location(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	older := &v1alpha1.ProcessType{}
	older.Name = "older"
	f.types.OnDelete(older)
	if got := location("shared"); !strings.HasPrefix(got, "younger/") {
		t.Errorf("shared is %s after older is gone, want younger/", got)
	}
	changed := &v1alpha1.ProcessType{}
	changed.Name, changed.UID, changed.Generation = "younger", "uid-younger", 2
	changed.Spec.InputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}`)}
	f.types.OnUpdate(nil, changed)
	f.want(f.post("/v1/processes/younger", `{"input":{}}`), 480, `{"errorCode":"MissingInput","errorDetails":{"in":"body","at":"input.a"}}`)
	f.want(f.post("/v1/processes/older", `{"input":{}}`), 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":["echo","ocr","ocrReaders","younger"]}}}`)
}

func TestNoTypesAtAll(t *testing.T) {
	f := newFacade(t)
	for _, name := range []string{"ocr", "echo"} {
		gone := &v1alpha1.ProcessType{}
		gone.Name = name
		f.types.OnDelete(gone)
	}
	f.want(f.do(http.MethodPost, "/v1/processes/ocr", nil, nil), 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":[]}}}`)
}
