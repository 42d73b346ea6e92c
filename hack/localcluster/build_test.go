package main

import (
	"regexp"
	"strings"
	"testing"
)

// Kubernetes and its staging modules are released together, as v1.X and v0.X.
func TestStagingModulesAreOfTheSameRelease(t *testing.T) {
	want := strings.Replace(kubernetesVersion(), "v1.", "v0.", 1)
	replaced := regexp.MustCompile(`(?m)^\s*(?:replace )?k8s\.io/(\S+) => k8s\.io/(\S+) (v\S+)$`).FindAllStringSubmatch(string(partFile("kubernetes", "go.mod")), -1)
	if len(replaced) < 20 {
		t.Fatalf("found %d replacements", len(replaced))
	}
	for _, r := range replaced {
		if r[1] != r[2] || r[3] != want {
			t.Errorf("%s, want the module of the same name at %s", strings.TrimSpace(r[0]), want)
		}
	}
}

// Each binary has to be named as a tool, or go mod tidy drops what it is built of.
func TestBinariesAreTools(t *testing.T) {
	for _, b := range binaries {
		if !regexp.MustCompile(`(?m)^(tool)?\s+` + regexp.QuoteMeta(b.pkg) + `$`).Match(partFile(b.part, "go.mod")) {
			t.Errorf("parts/%s/go.mod has no tool %s", b.part, b.pkg)
		}
	}
}
