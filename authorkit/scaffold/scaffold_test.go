// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package scaffold_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/authorkit/scaffold"
)

func TestWriteRejects(t *testing.T) {
	for name, test := range map[string]struct{ name, template, want string }{
		"no name":             {"", "go", "the name is \"\", expected at most 63 characters"},
		"capitals":            {"wordCount", "go", "the name is \"wordCount\""},
		"a dash at the end":   {"word-", "go", "the name is \"word-\""},
		"a path":              {"../word", "go", "the name is \"../word\""},
		"64 characters":       {strings.Repeat("a", 64), "go", "expected at most 63 characters"},
		"no template":         {"word", "", `--template is "", expected one of go, python, shell`},
		"an unknown template": {"word", "rust", `--template is "rust", expected one of go, python, shell`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := scaffold.Write(dir, test.name, test.template); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("wrote %v, want no file", left)
			}
		})
	}
}

func TestWriteOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "worker.py")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := scaffold.Write(dir, "word", "python")
	if err == nil || err.Error() != mine+" already exists and is not overwritten: choose another --dir" {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(dir)
	if text, _ := os.ReadFile(mine); err != nil || len(left) != 1 || string(text) != "mine" {
		t.Errorf("the directory contains %v (%v), want only the existing file", left, err)
	}
}

func TestWrite(t *testing.T) {
	for template, want := range map[string][]string{
		"go":     {".dockerignore", ".gitignore", "Dockerfile", "README.md", "go.mod", "in.json", "main.go", "processtype.yaml"},
		"python": {"Dockerfile", "README.md", "in.json", "processtype.yaml", "worker.py"},
		"shell":  {"Dockerfile", "README.md", "in.json", "processtype.yaml", "worker.sh"},
	} {
		t.Run(template, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "word-0")
			got, err := scaffold.Write(dir, "word-0", template)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			for _, file := range got {
				text, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				if script := strings.HasPrefix(string(text), "#!"); script != (info.Mode()&0o100 != 0) {
					t.Errorf("%s has mode %s", file, info.Mode())
				}
				if strings.Contains(string(text), "{{") || strings.Contains(string(text), "<no value>") {
					t.Errorf("%s still contains template actions", file)
				}
			}
			if text, err := fs.ReadFile(os.DirFS(dir), "processtype.yaml"); err != nil || !strings.Contains(string(text), `name: "word-0"`+"\n") {
				t.Errorf("processtype.yaml does not have the name word-0: %v", err)
			}
		})
	}
}
