// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance checks that a worker follows the worker contract, and reports
// a finding for each check.
package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Status is the result of one check.
type Status string

// The statuses of checks.
const (
	// Pass: the check succeeded.
	Pass Status = "PASS"
	// Warn: the worker works, but this may cause a problem in production.
	Warn Status = "WARN"
	// Fail: the worker or its ProcessType breaks the contract.
	Fail Status = "FAIL"
	// Skip: this could not be checked.
	Skip Status = "SKIP"
)

// Finding is the result of one check, with its reason.
type Finding struct {
	// Check is the name of the check: one of those listed in docs/procman.md.
	Check string `json:"check"`
	// Input is the name of the input that was checked. It is empty if the check does not
	// depend on an input.
	Input  string `json:"input,omitempty"`
	Status Status `json:"status"`
	// Reason explains the status in one line.
	Reason string `json:"reason"`
	// Details are further lines, such as the end of the worker's standard error.
	Details []string `json:"details,omitempty"`
}

// Report is the list of all findings.
type Report struct {
	// ProcessType is the name of the type. It is empty if the type could not be read.
	ProcessType string `json:"processType,omitempty"`
	// Passed is true if no check failed.
	Passed   bool      `json:"passed"`
	Findings []Finding `json:"checks"`
}

// WriteText writes the finding as one line, followed by its details, indented.
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

// Summary returns the last line of the report: the number of findings with each status.
func (r *Report) Summary() string {
	count := map[Status]int{}
	for _, f := range r.Findings {
		count[f.Status]++
	}
	return fmt.Sprintf("%d passed, %d warnings, %d failed, %d skipped", count[Pass], count[Warn], count[Fail], count[Skip])
}

// WriteJSON writes the report as one indented JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
