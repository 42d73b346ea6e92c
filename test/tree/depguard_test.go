// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// depguardRule is a rule of .golangci.yml about who may import what.
type depguardRule struct {
	// Files are patterns of three kinds: **/DIRECTORY/**, which is below any directory
	// of that name, the same after "!", which excludes it, and "!$test".
	Files []string `json:"files"`
	Deny  []struct {
		// Package is the beginning of an import path, or all of it before "$".
		Package string `json:"pkg"`
	} `json:"deny"`
}

// depguardRules returns the rules by their names.
func depguardRules(t *testing.T) map[string]depguardRule {
	t.Helper()
	text, err := fs.ReadFile(repository(), ".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]depguardRule `json:"rules"`
				} `json:"depguard"`
			} `json:"settings"`
		} `json:"linters"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Linters.Settings.Depguard.Rules) == 0 {
		t.Fatal(".golangci.yml has no rules of depguard")
	}
	return config.Linters.Settings.Depguard.Rules
}

// covers reports whether the rule is for the Go files of a directory.
func (r depguardRule) covers(dir string) bool {
	in := func(pattern string) bool { return strings.Contains("/"+dir+"/", strings.Trim(pattern, "!*")) }
	covered := false
	for _, pattern := range r.Files {
		switch {
		case pattern == "!$test":
		case strings.HasPrefix(pattern, "!") && in(pattern):
			return false
		case !strings.HasPrefix(pattern, "!"):
			covered = covered || in(pattern)
		}
	}
	return covered
}

// Every directory of the product has a rule about what it may import.
func TestEveryDirectoryHasADepguardRule(t *testing.T) {
	t.Parallel()
	rules := depguardRules(t)
	free := []string{"config", "hack", "test"} // nothing that is installed, or no code of ours
	var checked []string
	for _, f := range read(t, repository()) {
		dir := path.Dir(f.name)
		top, _, _ := strings.Cut(dir, "/")
		if !f.is(".go") || slices.Contains(free, top) || slices.Contains(checked, dir) {
			continue
		}
		checked = append(checked, dir)
		covered := false
		for _, rule := range rules {
			covered = covered || rule.covers(dir)
		}
		if !covered {
			t.Errorf("%s: no rule of depguard in .golangci.yml is for this directory, expected one", dir)
		}
	}
}

func TestDepguardRuleCovers(t *testing.T) {
	t.Parallel()
	rule := depguardRule{Files: []string{"**/internal/**", "**/api/**", "!**/controllers/**", "!$test"}}
	for dir, want := range map[string]bool{
		"internal": true, "internal/schema": true, "api/v1alpha1": true,
		"controllers/internal/jobspec": false, "internals": false, "apiserver": false, "cmd": false,
	} {
		if got := rule.covers(dir); got != want {
			t.Errorf("%s: got %t, want %t", dir, got, want)
		}
	}
}

// A rule for a directory that does not exist, or against an import that does not
// exist, checks nothing.
func TestDepguardRulesNameWhatExists(t *testing.T) {
	t.Parallel()
	exists := func(dir string) bool {
		info, err := fs.Stat(repository(), dir)
		return err == nil && info.IsDir()
	}
	for name, rule := range depguardRules(t) {
		for _, pattern := range rule.Files {
			if pattern != "!$test" && !exists(strings.Trim(pattern, "!*/")) {
				t.Errorf("rule %s of depguard: there is no directory for %s", name, pattern)
			}
		}
		for _, deny := range rule.Deny {
			if ours, ok := strings.CutPrefix(deny.Package, "procman.dev/procman/"); ok && !exists(strings.Trim(ours, "$/")) {
				t.Errorf("rule %s of depguard: there is no package %s", name, deny.Package)
			}
		}
	}
}
