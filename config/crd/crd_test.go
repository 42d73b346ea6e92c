// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// read returns the schema of a CustomResourceDefinition.
func read(t *testing.T, file string) *structural.Structural {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("bases", file))
	if err != nil {
		t.Fatal(err)
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &definition); err != nil {
		t.Fatal(err)
	}
	var schema apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &schema, nil); err != nil {
		t.Fatal(err)
	}
	s, err := structural.NewStructural(&schema)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The rules of a Process, which need the old object too, as the API server runs them.
func TestTransitionsOfAProcess(t *testing.T) {
	schema := read(t, "procman.dev_processes.yaml")
	rules := cel.NewValidator(schema, true, celconfig.PerCallLimit)
	condition := func(name, status string) any {
		return map[string]any{"type": name, "status": status, "reason": "Any", "message": "", "lastTransitionTime": "2026-01-01T12:00:00Z"}
	}
	finished := condition("Finished", "True")
	complete := map[string]any{"state": "complete", "output": "{}", "jobName": "j", "startTime": "2026-01-01T12:00:00Z", "attempts": int64(1), "conditions": []any{finished}}
	with := func(status map[string]any, key string, value any) map[string]any {
		changed := maps.Clone(status)
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
		"it becomes terminal":      {map[string]any{"state": "processing", "percentComplete": int64(3), "conditions": []any{condition("Launched", "False")}}, complete, ""},
		"nothing changes":          {complete, complete, ""},
		"another output":           {complete, with(complete, "output", `{"a":1}`), result},
		"no Job":                   {complete, with(complete, "jobName", nil), result},
		"another time":             {complete, with(complete, "startTime", "2026-01-01T12:00:01Z"), result},
		"a completion time":        {complete, with(complete, "completionTime", "2026-01-01T12:00:01Z"), result},
		"a late standard error":    {complete, with(complete, "stderr", "late"), result},
		"late progress":            {complete, with(complete, "percentComplete", int64(5)), result},
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
			errs, _ := rules.Validate(t.Context(), nil, schema, object(test.after), object(test.before), celconfig.RuntimeCELCostBudget)
			switch {
			case test.want == "" && len(errs) > 0:
				t.Error(errs)
			case test.want != "" && (len(errs) != 1 || errs[0].Detail != test.want):
				t.Errorf("got %v, want %q", errs, test.want)
			}
		})
	}
}

// The API server refuses a definition with a rule above this estimated cost.
const maxRuleCost = 10_000_000

func TestCostOfTheRulesOfAProcess(t *testing.T) {
	status := read(t, "procman.dev_processes.yaml").Properties["status"]
	results, err := cel.Compile(&status, model.SchemaDeclType(&status, false), celconfig.PerCallLimit,
		environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), cel.StoredExpressionsEnvLoader())
	if err != nil || len(results) != len(status.XValidations) || len(results) == 0 {
		t.Fatalf("%d of %d rules are compiled: %v", len(results), len(status.XValidations), err)
	}
	for i, r := range results {
		if r.Error != nil || r.MaxCost > maxRuleCost {
			t.Errorf("rule %d costs %d: %v", i, r.MaxCost, r.Error)
		}
	}
}
