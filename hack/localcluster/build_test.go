// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirements returns the modules that a go.mod requires, with their versions.
func requirements(t *testing.T, goMod string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(goMod)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^\t([^\s"]+) (v\S+)(?: // indirect)?$`).FindAllStringSubmatch(string(text), -1) {
		versions[match[1]] = match[2]
	}
	if len(versions) == 0 {
		t.Fatalf("%s requires nothing", goMod)
	}
	return versions
}

// A module with two versions is compiled twice, which makes the first run slow.
func TestVersionsOfTheProduct(t *testing.T) {
	parts := requirements(t, "parts/go.mod")
	for _, goMod := range []string{"../../go.mod", "go.mod"} {
		for module, version := range requirements(t, goMod) {
			if want := parts[module]; want != "" && version != want {
				t.Errorf("%s requires %s %s, but parts/go.mod %s: run go get %s@VERSION with the later one", goMod, module, version, want, module)
			}
		}
	}
}

// Kubernetes and its staging modules are released together, as v1.X and v0.X.
func TestStagingModulesAreOfTheSameRelease(t *testing.T) {
	want := strings.Replace(kubernetesVersion(), "v1.", "v0.", 1)
	replaced := regexp.MustCompile(`(?m)^\tk8s\.io/(\S+) v0\.0\.0 => k8s\.io/(\S+) (v\S+)$`).FindAllStringSubmatch(string(partsFile("go.mod")), -1)
	if len(replaced) < 20 {
		t.Fatalf("found %d replacements", len(replaced))
	}
	required := requirements(t, "parts/go.mod")
	for _, r := range replaced {
		if r[1] != r[2] || r[3] != want {
			t.Errorf("%s, want the module of the same name at %s", strings.TrimSpace(r[0]), want)
		}
		if version := required["k8s.io/"+r[1]]; version != "" && version != want {
			t.Errorf("k8s.io/%s is required at %s, want %s", r[1], version, want)
		}
	}
}

// go mod tidy removes the requirements of a package that is neither in the module
// nor named as a tool.
func TestProgramsAreTools(t *testing.T) {
	for _, p := range programs {
		if strings.HasPrefix(p.pkg, "./") {
			continue
		}
		if !regexp.MustCompile(`(?m)^\t` + regexp.QuoteMeta(p.pkg) + `$`).Match(partsFile("go.mod")) {
			t.Errorf("parts/go.mod has no tool %s", p.pkg)
		}
	}
}

func TestEveryProgramHasAPart(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range programs {
		if !slices.Contains(allParts, p.part) {
			t.Errorf("%s is of part %q, which is never built", p.name, p.part)
		}
		if seen[p.name] {
			t.Errorf("two programs are called %s", p.name)
		}
		seen[p.name] = true
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		i := slices.IndexFunc(programs, func(p program) bool { return p.name == name })
		if i < 0 || !slices.Contains(envtestParts, programs[i].part) {
			t.Errorf("envtest needs %s", name)
		}
	}
}

// The kubernetes program selects the server by its name, so every link to it has
// to be the name of a server.
func TestLinksAreServers(t *testing.T) {
	source := string(partsFile("kubernetes/main.go"))
	for _, p := range programs {
		if p.pkg == "./kubernetes" && !strings.Contains(source, `"`+p.name+`":`) {
			t.Errorf("parts/kubernetes/main.go has no server %s", p.name)
		}
	}
}

// CoreDNS refuses to start if its configuration uses a plugin that it does not have.
func TestPluginsOfCoreDNS(t *testing.T) {
	manifest, err := os.ReadFile("config/coredns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plugins := regexp.MustCompile(`(?m)^ {8}([a-z]+)\b.*$`).FindAllStringSubmatch(corefile(t, string(manifest)), -1)
	if len(plugins) < 5 {
		t.Fatalf("found %d plugins", len(plugins))
	}
	source := string(partsFile("coredns/main.go"))
	for _, plugin := range plugins {
		for _, want := range []string{`"github.com/coredns/coredns/plugin/` + plugin[1] + `"`, `"` + plugin[1] + `"`} {
			if !strings.Contains(source, want) {
				t.Errorf("parts/coredns/main.go does not have %s", want)
			}
		}
	}
}

// corefile returns the lines of the server block in the manifest.
func corefile(t *testing.T, manifest string) string {
	t.Helper()
	_, after, ok := strings.Cut(manifest, ".:53 {\n")
	block, _, ended := strings.Cut(after, "\n    }\n")
	if !ok || !ended {
		t.Fatal("config/coredns.yaml has no server block for port 53")
	}
	return block + "\n"
}

func TestFlagsOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"export GOFLAGS := " + goFlags + "\n", "export CGO_ENABLED := 0\n"} {
		if !strings.Contains(string(makefile), want) {
			t.Errorf("the Makefile has no line %q: its builds and those of the cluster would share nothing", want)
		}
	}
}

// An interrupted build must not leave a directory that counts as built.
func TestBuild(t *testing.T) {
	module := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module parts\n\ngo 1.26\n\n// k8s.io/kubernetes v1.2.3\n",
		"go.sum":          "",
		"one/main.go":     "package main\n\nfunc main() {}\n",
		"broken/main.go":  "package main\n\nfunc main() { x }\n",
		"version/main.go": "package main\n\nimport \"os\"\n\nfunc main() { print(os.Args[0]) }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(module, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(module, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	lastDir, lastPrograms := partsDir, programs
	t.Cleanup(func() { partsDir, programs = lastDir, lastPrograms })
	partsDir = module
	programs = []program{{"one", "good", "./one"}, {"link", "good", "./version"}, {"broken", "bad", "./broken"}}
	t.Setenv("GOCACHE", goCache(t)) // found by HOME or XDG_CACHE_HOME otherwise

	if built("good") {
		t.Error("it is built before the build")
	}
	for range 2 { // the second time there is nothing to do
		if err := build([]string{"good"}); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := exec.Command(programPath("link")).CombinedOutput(); err != nil || string(output) != programPath("link") {
		t.Errorf("the link prints %q, %v", output, err)
	}
	if err := build([]string{"good", "bad"}); err == nil || !strings.Contains(err.Error(), "undefined: x") {
		t.Errorf("a program that does not compile: %v", err)
	}
	if built("bad") || !built("good") {
		t.Error("want only the good part built")
	}
}

func goCache(t *testing.T) string {
	t.Helper()
	command := exec.Command("go", "env", "GOCACHE")
	command.Env = append(os.Environ(), "XDG_CACHE_HOME=")
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}
