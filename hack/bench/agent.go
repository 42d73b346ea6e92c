// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// trivial is the smallest program, to compare with.
const trivial = "package main\n\nfunc main() {}\n"

// benchAgent compares the start of the agent with that of a program that does
// nothing. The agent prints its version and exits, after all its packages have been
// initialized. Both programs are static, and they are started alternately.
func benchAgent(samples int) error {
	dir, err := os.MkdirTemp("", "bench-agent-")
	if err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source := filepath.Join(dir, "trivial.go")
	if err := os.WriteFile(source, []byte(trivial), 0o600); err != nil {
		return fmt.Errorf("write program: %w", err)
	}
	agent, nothing := filepath.Join(dir, "agent"), filepath.Join(dir, "trivial")
	for target, pkg := range map[string]string{agent: "./cmd/agent", nothing: source} {
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", target, pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, output)
		}
	}
	var agents, nothings []time.Duration
	for range samples + 1 {
		a, err := timeProgram(agent, "version")
		if err != nil {
			return err
		}
		n, err := timeProgram(nothing)
		if err != nil {
			return err
		}
		agents, nothings = append(agents, a), append(nothings, n)
	}
	agents, nothings = agents[1:], nothings[1:] // the first start has read the disk
	fmt.Println("start of the agent and of a program that does nothing; wanted: at most 10 ms more")
	report("agent", agents)
	report("nothing", nothings)
	fmt.Printf("difference of medians %.1f ms\n", 1000*(at(agents, 0.5)-at(nothings, 0.5)).Seconds())
	return nil
}

// timeProgram returns how long a program runs.
func timeProgram(name string, args ...string) (time.Duration, error) {
	start := time.Now()
	if err := exec.Command(name, args...).Run(); err != nil {
		return 0, fmt.Errorf("run %s: %w", filepath.Base(name), err)
	}
	return time.Since(start), nil
}
