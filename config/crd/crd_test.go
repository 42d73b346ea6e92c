package crd

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// read returns a CustomResourceDefinition as the API server sees it.
func read(t *testing.T, file string) *apiextensions.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("bases", file))
	if err != nil {
		t.Fatal(err)
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &v1); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	v1.Status.StoredVersions = []string{v1.Spec.Versions[0].Name}
	var internal apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &internal, nil); err != nil {
		t.Fatal(err)
	}
	return &internal
}

// An API server accepts the definitions: the schemas are structural, the rules
// compile, and their estimated cost is within the limits.
func TestDefinitionsAreValid(t *testing.T) {
	for _, file := range []string{"procman.dev_processes.yaml", "procman.dev_processtypes.yaml"} {
		t.Run(file, func(t *testing.T) {
			for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), read(t, file)) {
				t.Error(err)
			}
		})
	}
}

// The rules of a Process, which need the old object too, as the API server runs them.
func TestTransitionsOfAProcess(t *testing.T) {
	definition := read(t, "procman.dev_processes.yaml")
	structural, err := schema.NewStructural(definition.Spec.Validation.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	condition := func(name, status string) any {
		return map[string]any{"type": name, "status": status, "reason": "Any", "message": "", "lastTransitionTime": "2026-01-01T12:00:00Z"}
	}
	finished := condition("Finished", "True")
	complete := map[string]any{"state": "complete", "output": "{}", "jobName": "j", "startTime": "2026-01-01T12:00:00Z", "attempts": int64(1), "conditions": []any{finished}}
	with := func(status map[string]any, key string, value any) map[string]any {
		changed := map[string]any{}
		for k, v := range status {
			changed[k] = v
		}
		if changed[key] = value; value == nil {
			delete(changed, key)
		}
		return changed
	}
	const (
		result = "the result of a finished process cannot change"
		frozen = "the condition Finished cannot change once it is True"
	)
	for name, test := range map[string]struct {
		before, after map[string]any
		want          string // none: it is allowed
	}{
		"it becomes terminal":      {map[string]any{"state": "processing", "queuePosition": int64(3)}, complete, ""},
		"nothing changes":          {complete, complete, ""},
		"another output":           {complete, with(complete, "output", `{"a":1}`), result},
		"no Job":                   {complete, with(complete, "jobName", nil), result},
		"another time":             {complete, with(complete, "startTime", "2026-01-01T12:00:01Z"), result},
		"a completion time":        {complete, with(complete, "completionTime", "2026-01-01T12:00:01Z"), result},
		"late progress":            {complete, with(complete, "percentComplete", int64(5)), result},
		"a late position":          {complete, with(complete, "queuePosition", int64(5)), result},
		"it is processing again":   {complete, map[string]any{"state": "processing", "conditions": []any{finished}}, result},
		"a condition is added":     {complete, with(complete, "conditions", []any{condition("Delivered", "True"), finished}), ""},
		"Finished is removed":      {complete, with(complete, "conditions", nil), frozen},
		"Finished is False":        {complete, with(complete, "conditions", []any{condition("Finished", "False")}), frozen},
		"a condition, not at once": {map[string]any{"state": "processing", "conditions": []any{condition("Launched", "False")}}, map[string]any{"state": "processing"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			object := func(status map[string]any) map[string]any {
				return map[string]any{"apiVersion": "procman.dev/v1alpha1", "kind": "Process", "metadata": map[string]any{"name": "p"}, "spec": map[string]any{"type": "t"}, "status": status}
			}
			errs, _ := rules.Validate(context.Background(), nil, structural, object(test.after), object(test.before), celconfig.RuntimeCELCostBudget)
			switch {
			case test.want == "" && len(errs) > 0:
				t.Error(errs)
			case test.want != "" && (len(errs) != 1 || errs[0].Detail != test.want):
				t.Errorf("got %v, want %q", errs, test.want)
			}
		})
	}
}
