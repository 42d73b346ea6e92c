// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command echo-worker returns its input as its output, byte for byte. The member
// "echo" of the input can change that: the worker then runs for a while, reports
// progress, fails or crashes. It is for demonstrations and tests.
package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == childArgument {
		mib, _ := strconv.Atoi(os.Args[2])
		runtime.KeepAlive(allocate(mib))
		os.Exit(0)
	}
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo-worker:", err)
		code = 1
	}
	os.Exit(code)
}

// run does what the input asks for and returns the exit status.
func run() (code int, err error) {
	input, err := os.ReadFile(os.Getenv("PROCESS_INPUT_FILE"))
	if err != nil {
		return 0, fmt.Errorf("read input: %w", err)
	}
	s, err := parseScript(input)
	if err != nil {
		return 0, err
	}
	if s.IgnoreTerm {
		signal.Ignore(syscall.SIGTERM)
	}
	defer runtime.KeepAlive(allocate(s.MemoryMiB)) // so that the memory is kept until run returns
	if err := s.useResources(); err != nil {
		return 0, err
	}
	if err := s.work(); err != nil {
		return 0, err
	}
	if n, err := strconv.Atoi(os.Getenv("PROCESS_ATTEMPT")); err == nil && n <= s.FailAttempts {
		return 0, fmt.Errorf("crashing in attempt %d, as the input asks", n)
	}
	if s.Signal != "" {
		return 0, die(s.Signal)
	}
	if err := s.writeResult(input); err != nil {
		return 0, err
	}
	if s.ExitCode != 0 {
		fmt.Fprintf(os.Stderr, "exiting with %d, as the input asks\n", s.ExitCode)
	}
	return s.ExitCode, nil
}

// writeResult writes the error file or the output file, or neither.
func (s *script) writeResult(input []byte) error {
	switch {
	case s.Error != nil:
		if err := os.WriteFile(cmp.Or(os.Getenv("PROCESS_ERROR_FILE"), "/dev/stderr"), s.Error, 0o600); err != nil {
			return fmt.Errorf("write error: %w", err)
		}
	case !s.NoOutput:
		if err := os.WriteFile(os.Getenv("PROCESS_OUTPUT_FILE"), s.output(input), 0o600); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return nil
}

// work sleeps for Seconds and reports Progress meanwhile.
func (s *script) work() error {
	steps := max(1, len(s.Progress))
	pause := time.Duration(s.Seconds / float64(steps) * float64(time.Second))
	for i := range steps {
		if i < len(s.Progress) {
			text := strconv.FormatFloat(s.Progress[i], 'f', -1, 64)
			if err := os.WriteFile(cmp.Or(os.Getenv("PROCESS_PROGRESS_FILE"), os.DevNull), []byte(text), 0o600); err != nil {
				return fmt.Errorf("report progress: %w", err)
			}
		}
		time.Sleep(pause)
	}
	return nil
}

// childArgument is the first argument by which the worker starts itself as a child. The
// second argument is the number of MiB to allocate.
const childArgument = "allocate"

// useResources runs the child and writes the scratch file.
func (s *script) useResources() error {
	if s.ChildMemoryMiB > 0 {
		child := exec.Command("/proc/self/exe", childArgument, strconv.Itoa(s.ChildMemoryMiB))
		if err := child.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "the child ended:", err)
		}
	}
	if s.ScratchMiB > 0 {
		scratch, err := os.Create(filepath.Join(os.TempDir(), "scratch"))
		if err != nil {
			return fmt.Errorf("create scratch file: %w", err)
		}
		defer func() { _ = scratch.Close() }()
		for range s.ScratchMiB {
			if _, err := scratch.Write(make([]byte, 1<<20)); err != nil {
				return fmt.Errorf("write scratch file: %w", err)
			}
		}
	}
	return nil
}

// allocate allocates memory and writes to each page of it.
func allocate(mib int) []byte {
	memory := make([]byte, mib<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	return memory
}
