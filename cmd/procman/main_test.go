// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asProcman is a variable that makes the test binary run as procman. It does not begin
// with PROCMAN_: such variables are not passed on to the agent.
const asProcman = "TEST_AS_PROCMAN"

func TestMain(m *testing.M) {
	if os.Getenv(asProcman) != "" {
		main()
	}
	os.Exit(m.Run())
}

// procman runs the program in a directory and returns what it prints to standard
// output and standard error, and its exit status.
func procman(t *testing.T, dir string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	var out, err strings.Builder
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(os.Environ(), asProcman+"=1"), dir, &out, &err
	_ = cmd.Run() // the exit status says enough
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func TestExitStatus(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string // what they contain
	}{
		"help":            {[]string{"worker", "--help"}, 0, "Create, run and check a worker", ""},
		"version":         {[]string{"version"}, 0, "procman.dev/v1alpha1", ""},
		"unknown command": {[]string{"worker", "jump"}, 2, "", `procman: unknown command "jump"`},
		"missing flag":    {[]string{"worker", "run"}, 2, "", "procman: --filename is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := procman(t, "", test.args...)
			if status != test.status || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit status %d, want %d\nstandard output: %s\nstandard error: %s", status, test.status, stdout, stderr)
			}
		})
	}
}

// The program starts itself again as the agent. This only works if main passes on the
// arguments.
func TestTheProgramIsItsOwnAgent(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, status := procman(t, dir, "worker", "init", "digest", "--template", "shell"); status != 0 {
		t.Fatal(stderr)
	}
	stdout, stderr, status := procman(t, filepath.Join(dir, "digest"),
		"worker", "run", "-f", "processtype.yaml", "--input", "in.json", "--json", "--", "sh", "worker.sh")
	if status != 0 || !strings.Contains(stdout, `"state":"complete"`) {
		t.Errorf("exit status %d, want 0 and a complete process\n%s%s", status, stdout, stderr)
	}
}
