// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"procman.dev/procman/workers/internal/jsoninput"
)

// script is the member "echo" of the input: what the worker has to do, in the order
// of the fields.
type script struct {
	// IgnoreTerm makes the worker ignore SIGTERM.
	IgnoreTerm bool `json:"ignoreTerm"`
	// MemoryMiB is how much memory the worker allocates and writes to.
	MemoryMiB int `json:"memoryMiB"`
	// ChildMemoryMiB is how much memory a child process allocates and writes to. The
	// worker continues whether or not the child is killed.
	ChildMemoryMiB int `json:"childMemoryMiB"`
	// ScratchMiB is the size of a file that the worker writes to /tmp.
	ScratchMiB int `json:"scratchMiB"`
	// Seconds is how long the worker runs. It reports the percentages of Progress at
	// equal intervals during that time.
	Seconds  float64   `json:"seconds"`
	Progress []float64 `json:"progress"`
	// FailAttempts is the number of the last attempt in which the worker crashes.
	FailAttempts int `json:"failAttempts"`
	// Signal is the name of a signal that the worker sends to itself, such as KILL.
	Signal string `json:"signal"`
	// Error is the content of the error file. If it is set, no output is written.
	Error jsontext.Value `json:"error"`
	// NoOutput makes the worker write no output file.
	NoOutput bool `json:"noOutput"`
	// OutputText is the output as text, which need not be JSON. OutputBytes is the
	// size of an object to write as the output. Output is the output as JSON.
	OutputText  *string        `json:"outputText"`
	OutputBytes int            `json:"outputBytes"`
	Output      jsontext.Value `json:"output"`
	// ExitCode is the exit status after all of this.
	ExitCode int `json:"exitCode"`
}

// parseScript reads the script in an input that is valid according to the type's
// inputSchema. The name "echo" is case-sensitive. Other members have no effect.
func parseScript(input []byte) (*script, error) {
	var in struct {
		Echo script `json:"echo"`
	}
	if err := jsoninput.Unmarshal(input, &in); err != nil {
		return nil, fmt.Errorf("decode input: %w", err)
	}
	return &in.Echo, nil
}

// output returns the output that the script asks for, or else the input.
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
