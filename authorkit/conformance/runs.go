package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/authorkit/rehearsal"
	"procman.dev/procman/internal/errorcode"
)

// brokeContract reports whether a run ended with an errorCode that the product
// gave it. A worker that keeps the contract completes, or declares a code of its
// own or one that says what is wrong with its input.
func brokeContract(code string) bool {
	fault := errorcode.FaultOf(code)
	return fault == errorcode.Worker || fault == errorcode.Platform
}

// options are what all runs share.
func (e *examination) options(input Input) rehearsal.Options {
	return rehearsal.Options{Type: e.t, Input: input.Text, Command: e.Command, Program: e.Program, Grace: e.Grace}
}

// completes runs the worker on each input, twice.
func (e *examination) completes(ctx context.Context, inputs []Input) error {
	for _, input := range inputs {
		o := e.options(input)
		var progress []string
		o.Observe = func(event rehearsal.Event) {
			if event.Kind == rehearsal.Wrote && event.Attempt == 1 {
				progress = append(progress, event.Text)
			}
		}
		first, err := rehearsal.Run(ctx, o)
		if err != nil {
			return fmt.Errorf("run the worker: %w", err)
		}
		e.found(judgeRun(input, first, e.t.MaxOutputBytes()))
		e.found(judgeProgress(input, progress))
		if first.Process.Status.State != v1alpha1.StateComplete {
			continue
		}
		if took := first.Last().Duration; e.longest == nil || took > e.took {
			e.longest, e.took = &input, took
		}
		o.Observe = nil
		second, err := rehearsal.Run(ctx, o)
		if err != nil {
			return fmt.Errorf("run the worker: %w", err)
		}
		e.found(judgeRepeat(input, first, second))
	}
	return nil
}

// judgeRun says whether a run that is to complete did.
func judgeRun(input Input, o *rehearsal.Outcome, limit int) Finding {
	f := Finding{Check: "run", Input: input.Name, Status: Pass}
	last, status := o.Last(), o.Process.Status
	if status.State == v1alpha1.StateComplete {
		f.Reason = fmt.Sprintf("complete in %s, output %d of %d bytes", duration(last.Duration), len(status.Output), limit)
		if n := len(o.Attempts); n > 1 {
			f.Status = Warn
			f.Reason = fmt.Sprintf("complete at attempt %d only, output %d of %d bytes", n, len(status.Output), limit)
			f.Details = attempts(o)
		}
		return f
	}
	f.Status = Fail
	f.Reason = rehearsal.Explain(status.ErrorCode, status.ErrorDetails)
	if !brokeContract(status.ErrorCode) {
		f.Reason = "the worker refuses it with " + f.Reason
	}
	if len(o.Attempts) > 1 {
		f.Details = attempts(o)
	} else {
		f.Details = lastWords(status.ErrorDetails)
	}
	return f
}

// attempts are the attempts that did not complete, a line each and what they
// said.
func attempts(o *rehearsal.Outcome) []string {
	var lines []string
	for i, a := range o.Attempts {
		if a.Complete() {
			continue
		}
		lines = append(lines, fmt.Sprintf("attempt %d: %s", i+1, rehearsal.Explain(a.ErrorCode, a.ErrorDetails)))
		lines = append(lines, lastWords(a.ErrorDetails)...)
	}
	return lines
}

// lastWords are the last lines of the worker's standard error, if any are known.
func lastWords(details string) []string {
	var d struct {
		Stderr string `json:"stderr"`
	}
	if json.Unmarshal([]byte(details), &d) != nil || d.Stderr == "" {
		return nil
	}
	return []string{"stderr: " + d.Stderr}
}

// judgeProgress looks at everything that was seen in the progress file. Nothing
// there breaks the contract: at worst it says less than the worker means.
func judgeProgress(input Input, seen []string) Finding {
	f := Finding{Check: "progress", Input: input.Name, Status: Pass}
	if len(seen) == 0 {
		f.Status, f.Reason = Skip, "it reports none"
		return f
	}
	last := -1.0
	for _, text := range seen {
		percent, err := strconv.ParseFloat(text, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			f.Details = append(f.Details, fmt.Sprintf("it wrote %q, which is no report: expected a number from 0 to 100", text))
			continue
		}
		if percent < last {
			f.Details = append(f.Details, fmt.Sprintf("it went back from %g to %g, as clients may see", last, percent))
		}
		last = percent
	}
	f.Reason = fmt.Sprintf("seen up to %s", seen[len(seen)-1])
	if len(f.Details) > 0 {
		f.Status, f.Reason = Warn, "it is not a number from 0 to 100 that only grows: fine if it is meant to be so"
	}
	return f
}

// judgeRepeat compares two runs of one input: work is delivered at least once.
func judgeRepeat(input Input, first, second *rehearsal.Outcome) Finding {
	f := Finding{Check: "repeat", Input: input.Name, Status: Pass, Reason: "a second run gives the same output"}
	a, b := first.Process.Status, second.Process.Status
	switch {
	case b.State != v1alpha1.StateComplete:
		f.Status, f.Reason = Warn, "a second run does not complete: "+rehearsal.Explain(b.ErrorCode, b.ErrorDetails)
		f.Details = lastWords(b.ErrorDetails)
	case !bytes.Equal(canonical(a.Output), canonical(b.Output)):
		f.Status, f.Reason = Warn, "a second run gives another output: fine if it is meant to, since an attempt may be repeated"
		f.Details = []string{"first:  " + excerpt(a.Output), "second: " + excerpt(b.Output)}
	}
	return f
}

// canonical is JSON without what does not matter: white space and order.
func canonical(text string) []byte {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var value any
	if dec.Decode(&value) != nil {
		return []byte(text)
	}
	out, err := json.Marshal(value)
	if err != nil {
		return []byte(text)
	}
	return out
}

// excerpt is the beginning of a text.
func excerpt(text string) string {
	const most = 200
	text = string(bytes.TrimSpace([]byte(text)))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// refuses runs the worker on what it is to refuse in its own words.
func (e *examination) refuses(ctx context.Context, _ []Input) error {
	for _, input := range e.Refused {
		if !e.accepts(input) {
			continue
		}
		o, err := rehearsal.Run(ctx, e.options(input))
		if err != nil {
			return fmt.Errorf("run the worker: %w", err)
		}
		status := o.Process.Status
		f := Finding{Check: "refusal", Input: input.Name, Status: Pass, Reason: "refused with " + rehearsal.Explain(status.ErrorCode, status.ErrorDetails)}
		switch {
		case status.State == v1alpha1.StateComplete:
			f.Status, f.Reason = Fail, "complete, expected an error file"
		case brokeContract(status.ErrorCode):
			f.Status, f.Reason = Fail, "expected an error file with an errorCode of the worker's, got "+rehearsal.Explain(status.ErrorCode, status.ErrorDetails)
			f.Details = lastWords(status.ErrorDetails)
		}
		e.found(f)
	}
	return nil
}

// emptyTimeout bounds the run on an empty object.
const emptyTimeout = 30 * time.Second

// takesNothing runs the worker on {}, past the schema: one that is changed one
// day must not find a worker that trusts it.
func (e *examination) takesNothing(ctx context.Context, _ []Input) error {
	o := e.options(Input{Text: []byte("{}")})
	o.Attempts = 1
	o.Timeout = min(emptyTimeout, time.Duration(e.t.Spec.TimeoutSeconds)*time.Second)
	got, err := rehearsal.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	status := got.Process.Status
	f := Finding{Check: "empty", Input: "{}", Status: Pass, Reason: "complete"}
	switch {
	case status.State == v1alpha1.StateComplete:
	case brokeContract(status.ErrorCode):
		f.Status, f.Reason = Warn, "neither completes nor refuses: "+rehearsal.Explain(status.ErrorCode, status.ErrorDetails)
		f.Details = lastWords(status.ErrorDetails)
	default:
		f.Reason = "refused with " + rehearsal.Explain(status.ErrorCode, status.ErrorDetails)
	}
	e.found(f)
	return nil
}

// duration is for people: tenths of a second.
func duration(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s" }
