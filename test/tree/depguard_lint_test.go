// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build lint

package tree

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDepguardRefusesEachForbiddenImport plants each import that .golangci.yml forbids
// into an otherwise empty module, and expects that lint refuses it by that rule. A
// wrong pattern in a rule would otherwise go unnoticed: such a rule forbids nothing.
func TestDepguardRefusesEachForbiddenImport(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	module := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gomod := "module procman.dev/procman\n\ngo 1.26.0\n"
	for _, other := range []string{"k8s.io", "sigs.k8s.io"} {
		gomod += fmt.Sprintf("\nrequire %s/planted v0.0.0\n\nreplace %s/planted => ./others/%s\n", other, other, other)
		write("others/"+other+"/go.mod", "module "+other+"/planted\n\ngo 1.26.0\n")
	}
	write("go.mod", gomod)

	type plant struct{ file, rule, imports string }
	var plants []plant
	for name, rule := range depguardRules(t) {
		for _, deny := range rule.Deny {
			imports := strings.TrimSuffix(deny.Package, "$")
			if imports != "net/http" && imports == deny.Package { // the beginning of a path
				imports = strings.TrimSuffix(imports, "/") + "/planted"
			}
			for _, pattern := range rule.Files {
				if strings.HasPrefix(pattern, "!") {
					continue
				}
				file := fmt.Sprintf("%s/plant%d/planted.go", strings.Trim(pattern, "*/"), len(plants))
				write(file, fmt.Sprintf("package planted\n\nimport _ %q\n", imports))
				plants = append(plants, plant{file, name, imports})
			}
		}
	}
	for _, p := range plants {
		for _, prefix := range []string{"procman.dev/procman", "k8s.io/planted", "sigs.k8s.io/planted"} {
			if within, ok := strings.CutPrefix(p.imports, prefix); ok {
				dir := map[string]string{"procman.dev/procman": ".", "k8s.io/planted": "others/k8s.io", "sigs.k8s.io/planted": "others/sigs.k8s.io"}[prefix]
				write(dir+within+"/imported.go", "package planted\n")
			}
		}
	}

	lint := exec.Command(filepath.Join(root, "bin", "golangci-lint-kube-api-linter"), "run", "--allow-parallel-runners",
		"--config", filepath.Join(root, ".golangci.yml"), "--enable-only", "depguard", "--max-issues-per-linter", "0", "--max-same-issues", "0", "./...")
	lint.Dir = module
	lint.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	output, _ := lint.CombinedOutput() // fails, because it finds something
	for _, p := range plants {
		found := false
		for line := range strings.Lines(string(output)) {
			found = found || strings.Contains(line, p.file+":") && strings.Contains(line, fmt.Sprintf("from list '%s'", p.rule))
		}
		if !found {
			t.Errorf("%s imports %s: expected that the rule %s refuses it", p.file, p.imports, p.rule)
		}
	}
	if t.Failed() {
		t.Logf("%s", output)
	}
}
