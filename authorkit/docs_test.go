// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The commands of docs/procman.md print what the page shows. Ids, times and the check
// sigterm can differ.
func TestDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/procman.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, environ, shown := t.TempDir(), withProcman(t), 0
	for _, block := range regexp.MustCompile(`(?m)(^    .*\n|^\n)+`).FindAllString(string(page), -1) {
		block = strings.TrimSpace(regexp.MustCompile(`(?m)^    `).ReplaceAllString(block, ""))
		if !strings.HasPrefix(block, "$ ") {
			continue
		}
		for part := range strings.SplitSeq(strings.TrimPrefix(block, "$ "), "\n$ ") {
			command, want, _ := strings.Cut(part, "\n")
			if to, ok := strings.CutPrefix(command, "cd "); ok {
				dir = filepath.Join(dir, to)
				continue
			}
			c := exec.Command("sh", "-c", command)
			c.Dir, c.Env = dir, environ
			got, _ := c.CombinedOutput() // the page also shows commands that fail
			if diff := cmp.Diff(constant(want), constant(string(got))); diff != "" {
				t.Errorf("$ %s\n%s", command, diff)
			}
			shown++
		}
	}
	if shown < 5 {
		t.Errorf("the page shows %d commands, expected 5 or more", shown)
	}
}

// constant returns text without what differs from run to run.
func constant(text string) string {
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.replacement)
	}
	return strings.TrimSpace(aboutSIGTERM.ReplaceAllString(text+"\n", ""))
}
