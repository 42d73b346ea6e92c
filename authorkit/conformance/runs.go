// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/authorkit/localrun"
	"procman.dev/procman/internal/errorcode"
)

// brokeContract reports whether an errorCode means that the worker broke the worker
// contract. A worker that follows the contract ends with an error code of its own, or
// with one about its input.
func brokeContract(code string) bool {
	fault := errorcode.FaultOf(code)
	return fault == errorcode.Worker || fault == errorcode.Platform
}

// options returns the options that all runs have in common.
func (c *checker) options(input Input) localrun.Options {
	return localrun.Options{Type: c.t, Input: input.Text, Command: c.Command, Program: c.Program, Grace: c.Grace}
}

// checkRuns runs the worker twice on each input. Both runs must complete.
func (c *checker) checkRuns(ctx context.Context, inputs []Input) error {
	for _, input := range inputs {
		o := c.options(input)
		var progress []string
		o.Observe = func(event localrun.Event) {
			if event.Kind == localrun.Wrote && event.Attempt == 1 {
				progress = append(progress, event.Text)
			}
		}
		first, err := localrun.Run(ctx, o)
		if err != nil {
			return fmt.Errorf("run the worker: %w", err)
		}
		c.add(runFinding(input, first, c.t.MaxOutputBytes()))
		c.add(progressFinding(input, progress))
		if first.Process.Status.State != v1alpha1.StateComplete {
			continue
		}
		if took := first.Last().Duration; c.longest == nil || took > c.longestDuration {
			c.longest, c.longestDuration = &input, took
		}
		o.Observe = nil
		second, err := localrun.Run(ctx, o)
		if err != nil {
			return fmt.Errorf("run the worker: %w", err)
		}
		c.add(repeatFinding(input, first, second))
		if err := c.checkIntegers(ctx, input, first); err != nil {
			return err
		}
	}
	return nil
}

// checkIntegers runs the worker on an input whose integers are written as 2.0 instead of
// 2, if the type's inputSchema accepts that: it is the same number. first is the outcome
// of the input itself.
func (c *checker) checkIntegers(ctx context.Context, input Input, first *localrun.Outcome) error {
	text := withDecimalPoints(input.Text)
	if bytes.Equal(text, input.Text) || c.rules.CheckInput(text) != nil {
		return nil
	}
	o := c.options(input)
	o.Input, o.Attempts = text, 1
	got, err := localrun.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	f := Finding{Check: "integers", Input: input.Name, Status: Pass, Reason: "the same output when 2 is written as 2.0"}
	a, b := first.Process.Status, got.Process.Status
	switch {
	case b.State != v1alpha1.StateComplete:
		f.Status, f.Reason = Fail, "a client may write 2 as 2.0; the worker then gets: "+localrun.Explain(b.ErrorCode, b.ErrorDetails)
		f.Details = stderrOf(got.Last().ErrorDetails)
	case canonicalNumbers(a.Output) != canonicalNumbers(b.Output):
		f.Status, f.Reason = Warn, "a client may write 2 as 2.0; the output is then different"
		f.Details = []string{"2:   " + excerpt(a.Output), "2.0: " + excerpt(b.Output)}
	}
	c.add(f)
	return nil
}

// withDecimalPoints returns the JSON with ".0" after each integer.
func withDecimalPoints(text []byte) []byte {
	var out []byte
	decoder, copied := jsontext.NewDecoder(bytes.NewReader(text)), 0
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return append(out, text[copied:]...) // io.EOF, because the text is valid JSON
		}
		if token.Kind() == '0' && !strings.ContainsAny(token.String(), ".eE") {
			end := int(decoder.InputOffset())
			out = append(append(out, text[copied:end]...), ".0"...)
			copied = end
		}
	}
}

// canonicalNumbers does the same as canonical, and also writes equal numbers in the same
// way.
func canonicalNumbers(text string) string {
	value := jsontext.Value(text)
	_ = value.Canonicalize() // an output is valid JSON
	return string(value)
}

// runFinding reports whether a run completed.
func runFinding(input Input, o *localrun.Outcome, limit int) Finding {
	f := Finding{Check: "run", Input: input.Name, Status: Pass}
	last, status := o.Last(), o.Process.Status
	if status.State == v1alpha1.StateComplete {
		f.Reason = fmt.Sprintf("complete in %s, output %d bytes (at most %d)", duration(last.Duration), len(status.Output), limit)
		if n := len(o.Attempts); n > 1 {
			f.Status = Warn
			f.Reason = fmt.Sprintf("complete only in attempt %d, output %d bytes (at most %d)", n, len(status.Output), limit)
			f.Details = failedAttempts(o)
		}
		return f
	}
	f.Status = Fail
	f.Reason = "expected complete, got " + localrun.Explain(status.ErrorCode, status.ErrorDetails)
	if len(o.Attempts) > 1 {
		f.Details = failedAttempts(o)
	} else {
		f.Details = stderrOf(last.ErrorDetails)
	}
	return f
}

// failedAttempts describes each attempt that did not complete, with the end of its
// standard error.
func failedAttempts(o *localrun.Outcome) []string {
	var lines []string
	for i, a := range o.Attempts {
		if a.Complete() {
			continue
		}
		lines = append(lines, fmt.Sprintf("attempt %d: %s", i+1, localrun.Explain(a.ErrorCode, a.ErrorDetails)))
		lines = append(lines, stderrOf(a.ErrorDetails)...)
	}
	return lines
}

// stderrOf returns the end of the worker's standard error as one line of details; nil if
// errorDetails do not contain it.
func stderrOf(details string) []string {
	var d struct {
		Stderr string `json:"stderr"`
	}
	if json.Unmarshal([]byte(details), &d) != nil || d.Stderr == "" {
		return nil
	}
	return []string{"stderr: " + d.Stderr}
}

// progressFinding checks everything that the worker wrote to its progress file. It
// never fails: the agent ignores values that are not valid.
func progressFinding(input Input, seen []string) Finding {
	f := Finding{Check: "progress", Input: input.Name, Status: Pass}
	if len(seen) == 0 {
		f.Status, f.Reason = Skip, "the worker reports no progress"
		return f
	}
	last := -1.0
	for _, text := range seen {
		percent, err := strconv.ParseFloat(text, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			f.Details = append(f.Details, fmt.Sprintf("the agent ignores the value %q: expected a number from 0 to 100", text))
			continue
		}
		if percent < last {
			f.Details = append(f.Details, fmt.Sprintf("the progress went back from %g to %g; clients may see this", last, percent))
		}
		last = percent
	}
	f.Reason = fmt.Sprintf("the last value is %s", seen[len(seen)-1])
	if len(f.Details) > 0 {
		f.Status, f.Reason = Warn, "expected numbers from 0 to 100 that never go down"
	}
	return f
}

// repeatFinding compares two runs with the same input. A process can run more than
// once, so both runs should have the same output.
func repeatFinding(input Input, first, second *localrun.Outcome) Finding {
	f := Finding{Check: "repeat", Input: input.Name, Status: Pass, Reason: "a second run has the same output"}
	a, b := first.Process.Status, second.Process.Status
	switch {
	case b.State != v1alpha1.StateComplete:
		f.Status, f.Reason = Warn, "a second run does not complete: "+localrun.Explain(b.ErrorCode, b.ErrorDetails)
		f.Details = stderrOf(second.Last().ErrorDetails)
	case canonical(a.Output) != canonical(b.Output):
		f.Status, f.Reason = Warn, "a second run has a different output; a process can run more than once, so check that this is intended"
		f.Details = []string{"first:  " + excerpt(a.Output), "second: " + excerpt(b.Output)}
	}
	return f
}

// canonical returns JSON without white space and with sorted keys, so that two
// values can be compared. Numbers keep their digits.
func canonical(text string) string {
	value := jsontext.Value(text)
	_ = value.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)) // an output is valid JSON
	return string(value)
}

// excerpt returns at most 200 characters of a text.
func excerpt(text string) string {
	const maxRunes = 200
	text = strings.TrimSpace(text)
	if runes := []rune(text); len(runes) > maxRunes {
		return string(runes[:maxRunes]) + "…"
	}
	return text
}

// checkRefusals runs the worker on each input that it must refuse with an error of
// its own.
func (c *checker) checkRefusals(ctx context.Context, _ []Input) error {
	for _, input := range c.Refused {
		if !c.checkInput(input) {
			continue
		}
		o, err := localrun.Run(ctx, c.options(input))
		if err != nil {
			return fmt.Errorf("run the worker: %w", err)
		}
		status := o.Process.Status
		f := Finding{Check: "refusal", Input: input.Name, Status: Pass, Reason: "refused with " + localrun.Explain(status.ErrorCode, status.ErrorDetails)}
		switch {
		case status.State == v1alpha1.StateComplete:
			f.Status, f.Reason = Fail, "expected an error file, got complete"
		case brokeContract(status.ErrorCode):
			f.Status, f.Reason = Fail, "expected an error file with an errorCode of the worker's own, got "+localrun.Explain(status.ErrorCode, status.ErrorDetails)
			f.Details = stderrOf(o.Last().ErrorDetails)
		}
		c.add(f)
	}
	return nil
}

// emptyInputTimeout is the maximum duration of the run on an empty input.
const emptyInputTimeout = 30 * time.Second

// checkEmptyInput runs the worker on {} without validating it: a worker should not
// crash if the schema is changed later.
func (c *checker) checkEmptyInput(ctx context.Context, _ []Input) error {
	o := c.options(Input{Text: []byte("{}")})
	o.Attempts = 1
	o.Timeout = min(emptyInputTimeout, time.Duration(c.t.Spec.TimeoutSeconds)*time.Second)
	got, err := localrun.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	status := got.Process.Status
	f := Finding{Check: "empty", Input: "{}", Status: Pass, Reason: "complete"}
	switch {
	case status.State == v1alpha1.StateComplete:
	case brokeContract(status.ErrorCode):
		f.Status, f.Reason = Warn, "expected complete or an error file, got "+localrun.Explain(status.ErrorCode, status.ErrorDetails)
		f.Details = stderrOf(got.Last().ErrorDetails)
	default:
		f.Reason = "refused with " + localrun.Explain(status.ErrorCode, status.ErrorDetails)
	}
	c.add(f)
	return nil
}

// duration formats a duration in seconds with one decimal.
func duration(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s" }
