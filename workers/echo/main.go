// Command echo-worker returns its input as its output, byte for byte, unless
// the input's member "echo" tells it to do something else: take time, report
// progress, fail, crash. For demonstrations and tests.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// script is the member "echo" of the input. Its fields are done in their order.
type script struct {
	// IgnoreTerm makes the worker deaf to SIGTERM.
	IgnoreTerm bool `json:"ignoreTerm"`
	// MemoryMiB is how much memory it takes, and touches.
	MemoryMiB int `json:"memoryMiB"`
	// Seconds is how long it runs, with Progress spread over it.
	Seconds  float64   `json:"seconds"`
	Progress []float64 `json:"progress"`
	// FailAttempts is up to which attempt it crashes.
	FailAttempts int `json:"failAttempts"`
	// Signal is the name of the signal by which it ends itself, such as KILL.
	Signal string `json:"signal"`
	// ExitCode is what it exits with, having written to standard error.
	ExitCode int `json:"exitCode"`
	// Error is written to the error file.
	Error json.RawMessage `json:"error"`
	// NoOutput makes it leave no output file.
	NoOutput bool `json:"noOutput"`
	// OutputText is written as it is, JSON or not; OutputBytes is the size of an
	// object to write; Output is a value to write.
	OutputText  *string         `json:"outputText"`
	OutputBytes int             `json:"outputBytes"`
	Output      json.RawMessage `json:"output"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "echo-worker:", err)
		os.Exit(1)
	}
}

func run() error {
	input, err := os.ReadFile(os.Getenv("PROCESS_INPUT_FILE"))
	if err != nil {
		return fmt.Errorf("read input: %w", err)
	}
	var told struct {
		Echo script `json:"echo"`
	}
	if err := json.Unmarshal(input, &told); err != nil {
		return fmt.Errorf("decode input: %w", err)
	}
	s := told.Echo
	if s.IgnoreTerm {
		signal.Ignore(syscall.SIGTERM)
	}
	defer runtime.KeepAlive(take(s.MemoryMiB)) // held to the end
	if err := s.spend(); err != nil {
		return err
	}
	if err := s.crash(os.Getenv("PROCESS_ATTEMPT")); err != nil {
		return err
	}
	if s.Error != nil {
		return os.WriteFile(os.Getenv("PROCESS_ERROR_FILE"), s.Error, 0o600)
	}
	if s.NoOutput {
		return nil
	}
	return os.WriteFile(os.Getenv("PROCESS_OUTPUT_FILE"), s.output(input), 0o600)
}

// output is what the script asks for, or else the input.
func (s *script) output(input []byte) []byte {
	switch {
	case s.OutputText != nil:
		return []byte(*s.OutputText)
	case s.OutputBytes > 0:
		return []byte(`{"filler":"` + strings.Repeat("x", max(0, s.OutputBytes-len(`{"filler":""}`))) + `"}`)
	case s.Output != nil:
		return s.Output
	}
	return input
}

// spend takes the time asked for and reports the progress asked for.
func (s *script) spend() error {
	steps := max(1, len(s.Progress))
	pause := time.Duration(s.Seconds / float64(steps) * float64(time.Second))
	for i := range steps {
		if i < len(s.Progress) {
			text := strconv.FormatFloat(s.Progress[i], 'f', -1, 64)
			if err := os.WriteFile(os.Getenv("PROCESS_PROGRESS_FILE"), []byte(text), 0o600); err != nil {
				return fmt.Errorf("report progress: %w", err)
			}
		}
		time.Sleep(pause)
	}
	return nil
}

// crash ends the worker if it is to crash in this attempt.
func (s *script) crash(attempt string) error {
	if n, err := strconv.Atoi(attempt); err == nil && n <= s.FailAttempts {
		return fmt.Errorf("crashing in attempt %d as told", n)
	}
	if s.Signal != "" {
		number, ok := map[string]syscall.Signal{
			"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM,
		}[s.Signal]
		if !ok {
			return errors.New("unknown signal " + s.Signal)
		}
		signal.Reset()
		if err := syscall.Kill(os.Getpid(), number); err != nil {
			return fmt.Errorf("send %s: %w", s.Signal, err)
		}
		time.Sleep(time.Second) // for the signal to arrive
	}
	if s.ExitCode != 0 {
		fmt.Fprintf(os.Stderr, "exiting with %d as told\n", s.ExitCode)
		os.Exit(s.ExitCode)
	}
	return nil
}

// take takes memory and touches every page of it.
func take(mib int) []byte {
	memory := make([]byte, mib<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	return memory
}
