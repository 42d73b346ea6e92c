// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"procman.dev/procman/internal/agentapi"
)

// With an environment variable, this test binary is the agent.
func TestMain(m *testing.M) {
	if os.Getenv("AGENT_MAIN_TEST") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runAgent runs the agent and returns its output and its exit code.
func runAgent(t *testing.T, args ...string) (output string, exitCode int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = []string{"AGENT_MAIN_TEST=1"}
	text, _ := cmd.CombinedOutput() // the exit code is checked by the caller
	return string(text), cmd.ProcessState.ExitCode()
}

func TestVersion(t *testing.T) {
	output, code := runAgent(t, "version")
	if fields := strings.Fields(output); code != 0 || len(fields) != 2 || !strings.HasPrefix(fields[1], "go1.") {
		t.Errorf("exit %d, output %q, expected two versions", code, output)
	}
}

func TestInstallCopiesTheAgent(t *testing.T) {
	target := filepath.Join(t.TempDir(), "agent")
	if output, code := runAgent(t, "install", target); code != 0 {
		t.Fatalf("exit %d: %s", code, output)
	}
	want, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("the copy cannot be executed: %v, %v", info.Mode(), err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("the copy has %d bytes, expected the %d of the program", len(got), len(want))
	}
	if output, code := runAgent(t, "install", "/no/such/directory/agent"); code != 1 || !strings.Contains(output, "/no/such/directory") {
		t.Errorf("exit %d: %s", code, output)
	}
}

// A pod whose settings are wrong fails its Job at once: another pod would be the same.
func TestInvalidSettingsAreFinal(t *testing.T) {
	output, code := runAgent(t, "--", "/worker")
	if code != agentapi.ExitFinal || !strings.Contains(output, agentapi.EnvCollectorURL) {
		t.Errorf("exit %d, expected %d: %s", code, agentapi.ExitFinal, output)
	}
}

// BenchmarkStart compares the start of the agent, whose packages have all been
// initialized when it prints its version, with that of a program that does nothing. The
// goal: at most 10 ms more.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	nothing := filepath.Join(dir, "nothing.go")
	if err := os.WriteFile(nothing, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	for name, source := range map[string]string{"agent": ".", "nothing": nothing} {
		program := filepath.Join(dir, name)
		build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, source)
		if output, err := build.CombinedOutput(); err != nil {
			b.Fatalf("build %s: %v\n%s", source, err, output)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := exec.Command(program, "version").Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
