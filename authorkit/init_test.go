// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"procman.dev/procman/authorkit/scaffold"
)

// The commands in each template's README work. Those for docker and a cluster are not
// run.
func TestTemplatesAreWorkers(t *testing.T) {
	t.Parallel()
	environ := withProcman(t)
	for _, template := range scaffold.Templates() {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "word")
			if text := call("worker", "init", "word", "--template", template, "--dir", dir); !strings.HasSuffix(text, "-- exit status 0\n") {
				t.Fatal(text)
			}
			commands := kitCommands(t, filepath.Join(dir, "README.md"))
			for _, command := range commands {
				c := exec.Command("sh", "-euc", command)
				c.Dir = dir
				c.Env = append(environ, "GOWORK=off", "GOFLAGS=-mod=mod")
				text, err := c.CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v\n%s", command, err, text)
				}
				if strings.Contains(command, "worker check") && strings.Contains(string(text), "WARN") {
					t.Errorf("a new project gets warnings:\n%s", text)
				}
			}
			if len(commands) < 2 {
				t.Errorf("README.md has %d commands, expected at least run and check", len(commands))
			}
		})
	}
}

// Each template runs with only the variables that docs/worker-contract.md sets in its
// example with docker.
func TestTemplatesRunByHand(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/worker-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile(`(?s)    docker run (.*?) registry\.example/wordcount:1 ([^\n]+)\n`).FindStringSubmatch(string(page))
	if example == nil {
		t.Fatal("the page has no example with docker run")
	}
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROCESS_") })
	for _, template := range scaffold.Templates() {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if _, err := scaffold.Write(dir, "wordcount", template); err != nil {
				t.Fatal(err)
			}
			if dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile")); err != nil ||
				template == "python" && !strings.Contains(string(dockerfile), `CMD ["`+strings.ReplaceAll(example[2], " ", `", "`)+`"]`) {
				t.Errorf("the page runs %s, the Dockerfile has another command (%v):\n%s", example[2], err, dockerfile)
			}
			in, out := filepath.Join(dir, "process-input.json"), filepath.Join(dir, "process-output.json")
			sh := func(command string) string {
				t.Helper()
				c := exec.Command("sh", "-euc", command)
				c.Dir = dir
				c.Env = append(slices.Clone(environ), "GOWORK=off", "GOFLAGS=-mod=mod")
				for _, v := range regexp.MustCompile(`-e (PROCESS_\w+)=/process/(\w+\.json)`).FindAllStringSubmatch(example[1], -1) {
					c.Env = append(c.Env, v[1]+"="+filepath.Join(dir, "process-"+v[2]))
				}
				text, err := c.CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v\n%s", command, err, text)
				}
				return string(text)
			}
			var run string
			for _, command := range kitCommands(t, filepath.Join(dir, "README.md")) {
				if before, after, ok := strings.Cut(command, " -- "); !ok {
					sh(command)
				} else if strings.HasPrefix(before, "procman worker run ") {
					run = after
				}
			}
			write(t, in, `{"text": "to be or not to be"}`)
			if printed := sh(run); printed != "" {
				t.Errorf("printed %q, want nothing", printed)
			}
			if output, err := os.ReadFile(out); err != nil || !json.Valid(output) {
				t.Errorf("the output is %q (%v), want JSON", output, err)
			}
			if err := os.Remove(out); err != nil {
				t.Fatal(err)
			}
			write(t, in, "{}")
			if printed := sh(run); !strings.Contains(printed, `"errorCode"`) {
				t.Errorf("printed %q, want the error file", printed)
			}
			if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is an output beside the error: %v", err)
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// kitCommands returns the commands of a README up to the first that needs docker.
func kitCommands(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "## On a cluster")
	var commands []string
	for _, m := range regexp.MustCompile(`(?m)^    (\S.*)$`).FindAllStringSubmatch(before, -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// withProcman returns an environment in which the test binary is called procman.
func withProcman(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "procman")); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "PROCMAN_UNDER_TEST=1", "PATH="+bin+":"+os.Getenv("PATH"))
}
