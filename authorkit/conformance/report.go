// Package conformance runs a worker through what the contract asks of it and
// reports what it found, check by check.
package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Status is the verdict of one check.
type Status string

// The verdicts.
const (
	Pass Status = "PASS"
	// Warn: it works, and will surprise somebody one day.
	Warn Status = "WARN"
	// Fail: it does not keep the contract.
	Fail Status = "FAIL"
	// Skip: it could not be looked at; the reason says why.
	Skip Status = "SKIP"
)

// Finding is what one check found.
type Finding struct {
	// Check is the check's name, from a closed set: see docs/procman.md.
	Check string `json:"check"`
	// Input names the input that it is about; empty when it is about none.
	Input  string `json:"input,omitempty"`
	Status Status `json:"status"`
	// Reason is one line for people.
	Reason string `json:"reason"`
	// Details are more lines, such as the worker's last words.
	Details []string `json:"details,omitempty"`
}

// Report is all of it.
type Report struct {
	// ProcessType is the type's name; empty when it could not be read.
	ProcessType string    `json:"processType,omitempty"`
	Passed      bool      `json:"passed"`
	Findings    []Finding `json:"checks"`
}

// WriteText writes the finding as a line, with its details indented below.
func (f Finding) WriteText(w io.Writer) {
	reason := f.Reason
	if f.Input != "" {
		reason = f.Input + ": " + reason
	}
	_, _ = fmt.Fprintf(w, "%s  %-11s  %s\n", f.Status, f.Check, reason)
	for _, detail := range f.Details {
		for line := range strings.Lines(strings.TrimRight(detail, "\n")) {
			_, _ = fmt.Fprintf(w, "      %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

// Summary is the report's last line.
func (r *Report) Summary() string {
	count := map[Status]int{}
	for _, f := range r.Findings {
		count[f.Status]++
	}
	return fmt.Sprintf("%d passed, %d warned, %d failed, %d skipped", count[Pass], count[Warn], count[Fail], count[Skip])
}

// WriteJSON writes the report as one indented JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
