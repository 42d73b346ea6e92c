package main

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// script is the member "echo" of the input: what the worker is told to do. Its
// fields are done in their order.
type script struct {
	// IgnoreTerm makes the worker deaf to SIGTERM.
	IgnoreTerm bool `json:"ignoreTerm"`
	// MemoryMiB is how much memory it takes, and touches.
	MemoryMiB int `json:"memoryMiB"`
	// ChildMemoryMiB is how much memory a child takes, touches and gives back; what
	// becomes of the child is nothing to the worker.
	ChildMemoryMiB int `json:"childMemoryMiB"`
	// ScratchMiB is the size of a file that it leaves in /tmp.
	ScratchMiB int `json:"scratchMiB"`
	// Seconds is how long it runs, with Progress, in percent, spread over it.
	Seconds  float64   `json:"seconds"`
	Progress []float64 `json:"progress"`
	// FailAttempts is up to which attempt it crashes.
	FailAttempts int `json:"failAttempts"`
	// Signal is the name of the signal by which it ends itself, such as KILL.
	Signal string `json:"signal"`
	// Error is written to the error file, instead of any output.
	Error jsontext.Value `json:"error"`
	// NoOutput makes it leave no output file.
	NoOutput bool `json:"noOutput"`
	// OutputText is written as it is, JSON or not; OutputBytes is the size of an
	// object to write; Output is a value to write.
	OutputText  *string        `json:"outputText"`
	OutputBytes int            `json:"outputBytes"`
	Output      jsontext.Value `json:"output"`
	// ExitCode is what it exits with, having written all of the above.
	ExitCode int `json:"exitCode"`
}

// parseScript reads the script in an input, whose shape the type's schema has
// ensured. Only the exact name "echo" counts: the rest is to be returned.
func parseScript(input []byte) (*script, error) {
	var told struct {
		Echo script `json:"echo"`
	}
	if err := json.Unmarshal(input, &told); err != nil {
		return nil, fmt.Errorf("decode input: %w", err)
	}
	return &told.Echo, nil
}

// output is what the script asks for, or else the input.
func (s *script) output(input []byte) []byte {
	switch {
	case s.OutputText != nil:
		return []byte(*s.OutputText)
	case s.OutputBytes > 0:
		const head, tail = `{"filler":"`, `"}`
		return []byte(head + strings.Repeat("x", max(0, s.OutputBytes-len(head+tail))) + tail)
	case s.Output != nil:
		return s.Output
	}
	return input
}
