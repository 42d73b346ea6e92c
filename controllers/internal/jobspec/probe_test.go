// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"procman.dev/procman/api/v1alpha1"
)

func TestProbe(t *testing.T) {
	got, err := yaml.Marshal(Probe("work", Config{
		AgentImage: "registry.example/agent:1", AgentInjection: v1alpha1.AgentInitContainer,
		CollectorURL: "http://collector:8090", ServiceAccount: "procman-worker", GraceSeconds: 25,
	}))
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "probe.yaml")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}
