// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/authorkit/manifest"
)

const valid = `apiVersion: procman.dev/v1alpha1
kind: ProcessType
metadata: {name: valid}
spec:
  image: registry.example/valid:1
  command: [/valid]
`

func load(t *testing.T, text string) error {
	t.Helper()
	name := filepath.Join(t.TempDir(), "processtype.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := manifest.Load(name)
	if err != nil && !strings.HasPrefix(err.Error(), name+": ") {
		t.Errorf("%q does not begin with the name of the file", err)
	}
	return err
}

func TestLoadRejects(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want manifest.Problems
	}{
		"a field that does not exist": {
			valid + "  timeoutSecond: 5\n", manifest.Problems{"spec.timeoutSecond: there is no such field"},
		},
		"fields that do not exist, deeper": {
			valid + "  limits: {inputByte: 5, outputBytes: 5}\n  template: {resources: {limit: {}}}\n",
			manifest.Problems{"spec.limits.inputByte: there is no such field", "spec.template.resources.limit: there is no such field"},
		},
		"a bound": {
			valid + "  attempts: 11\n",
			manifest.Problems{`spec.attempts: Invalid value: 11: spec.attempts in body should be less than or equal to 10`},
		},
		"an unknown enum value": {
			valid + "  agent: Magic\n",
			manifest.Problems{`spec.agent: Unsupported value: "Magic": supported values: "Embedded", "ImageVolume", "InitContainer"`},
		},
		"a repeated alias": {valid + "  aliases: [a, a]\n", manifest.Problems{`spec.aliases[1]: Duplicate value: "a"`}},
		"a CEL rule": {
			strings.Replace(valid, "name: valid", "name: va.lid", 1),
			manifest.Problems{`Invalid value: the name of a ProcessType has at most 63 characters of a-z, 0-9 and -: it is part of URLs and labels`},
		},
		"metadata that does not exist": {
			strings.Replace(valid, "{name: valid}", "{name: valid, label: {}}", 1),
			manifest.Problems{"metadata.label: there is no such field"},
		},
		"a name in capitals": {
			strings.Replace(valid, "name: valid", "name: Valid", 1),
			manifest.Problems{`metadata.name: Invalid value: "Valid": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		},
		"no metadata": {
			strings.Replace(valid, "metadata: {name: valid}", "", 1),
			manifest.Problems{`metadata.name: Required value: name or generateName is required`},
		},
		"no name": {
			strings.Replace(valid, "{name: valid}", "{}", 1),
			manifest.Problems{`metadata.name: Required value: name or generateName is required`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			problems, ok := errors.AsType[manifest.Problems](load(t, test.text))
			if !ok {
				t.Fatal("accepted, want Problems")
			}
			if diff := cmp.Diff(test.want, problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadNeedsOneProcessType(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"none":          {"kind: Pod\n", "contains 0 objects of kind ProcessType, expected one"},
		"two":           {valid + "---\n" + valid, "contains 2 objects of kind ProcessType, expected one"},
		"not an object": {"- 1\n", "document 1: expected a Kubernetes object"},
		"not YAML":      {"a: [\n", "document 1: "},
		"a key twice":   {valid + "  image: b\n", `"image" already set in map`},
		"another group": {strings.Replace(valid, "v1alpha1", "v1", 1), `document 1: apiVersion is "procman.dev/v1", expected procman.dev/v1alpha1`},
		"an empty file": {"", "contains 0 objects"},
		"only comments": {"# nothing\n", "contains 0 objects"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := load(t, test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestLoadSetsDefaults(t *testing.T) {
	name := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(name, []byte("kind: Namespace\n---\n# a comment\n---\n"+valid), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := manifest.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "valid" || got.Spec.Attempts != 3 || got.Spec.TimeoutSeconds != 300 || got.Spec.LifetimeSeconds != 1200 {
		t.Errorf("loaded %+v", got)
	}
}
