package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/authorkit/manifest"
	"procman.dev/procman/authorkit/rehearsal"
	"procman.dev/procman/internal/rules"
)

// Input is a JSON object to try the worker with.
type Input struct {
	// Name is how the report calls it: the file it comes from.
	Name string
	Text []byte
}

// Options say what to check.
type Options struct {
	// File holds the ProcessType.
	File string
	// Inputs are to complete, beside the examples in the type's inputSchema.
	Inputs []Input
	// Refused are inputs that the type's schema accepts and that the worker is
	// to refuse, with an error of its own.
	Refused []Input
	// Command is the worker's; the type's own when empty.
	Command []string
	// NoRun leaves out what needs the worker to run.
	NoRun bool
	// Program is rehearsal.Options.Program.
	Program string
	// Grace is what the worker gets between SIGTERM and SIGKILL.
	Grace time.Duration
	// Each is told of each finding as it is made; nil tells nobody.
	Each func(Finding)
}

// Check makes all checks that can be made. The error says that one of them could
// not be carried out: it says nothing about the worker.
func Check(ctx context.Context, o Options) (*Report, error) {
	e := &examination{Options: o, report: &Report{Passed: true}}
	err := e.all(ctx)
	return e.report, err
}

// examination is a report in the making.
type examination struct {
	Options
	report *Report
	t      *v1alpha1.ProcessType
	rules  *rules.Rules
	// longest is the input whose run took longest, which leaves the most time to
	// send a signal; nil when none completed.
	longest *Input
	took    time.Duration
}

func (e *examination) found(f Finding) {
	e.report.Findings = append(e.report.Findings, f)
	if f.Status == Fail {
		e.report.Passed = false
	}
	if e.Each != nil {
		e.Each(f)
	}
}

// all makes the checks in order; those of the type come first, since a worker
// of no sound type cannot be run.
func (e *examination) all(ctx context.Context) error {
	inputs, ok, err := e.registration()
	if err != nil || !ok || e.NoRun || !e.runnable() {
		return err
	}
	for _, check := range []func(context.Context, []Input) error{
		e.completes, e.refuses, e.takesNothing, e.stops, e.leavesNothing,
	} {
		if err := check(ctx, inputs); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("check the worker: %w", err)
		}
	}
	e.found(Finding{Check: "files", Status: Skip, Reason: "what it writes outside /tmp and its output shows in a container alone: a cluster's root file system is read-only"})
	return nil
}

// registration checks the type, its schemas and the inputs there are. It returns
// those that the worker can be run with, and false when there is no type to run.
// The error is that of a file that cannot be read.
func (e *examination) registration() ([]Input, bool, error) {
	t, err := manifest.Load(e.File)
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, false, err
	}
	if problems, ok := errors.AsType[manifest.Problems](err); ok {
		e.found(Finding{Check: "processtype", Status: Fail, Reason: e.File + ": an API server refuses it", Details: problems})
		return nil, false, nil
	}
	if err != nil {
		e.found(Finding{Check: "processtype", Status: Fail, Reason: err.Error()})
		return nil, false, nil
	}
	e.t, e.report.ProcessType = t, t.Name
	e.found(Finding{Check: "processtype", Status: Pass, Reason: t.Name + ": an API server accepts it"})

	e.rules = rules.New(t)
	inputErr, outputErr := e.rules.InputSchemaError(), e.rules.OutputSchemaError()
	if inputErr != nil || outputErr != nil {
		f := Finding{Check: "schemas", Status: Fail, Reason: "the type would not be accepted"}
		if inputErr != nil {
			f.Details = append(f.Details, inputErr.Error())
		}
		if outputErr != nil {
			f.Details = append(f.Details, outputErr.Error())
		}
		e.found(f)
		return nil, false, nil
	}
	e.found(Finding{Check: "schemas", Status: Pass, Reason: "inputSchema and outputSchema compile"})

	if example, ok := exampleIn(t.Spec.OutputSchema); ok {
		f := Finding{Check: "schemas", Status: Pass, Reason: "the example of an output is valid"}
		if v, ok := errors.AsType[*rules.Violation](e.rules.CheckOutput(example)); ok {
			f.Status, f.Reason = Fail, "the example of an output is not valid: "+explain(v)
		}
		e.found(f)
	}
	return e.accepted(), true, nil
}

// accepted are the inputs that the type's schema accepts, as it should.
func (e *examination) accepted() []Input {
	all := e.Inputs
	if example, ok := exampleIn(e.t.Spec.InputSchema); ok {
		all = append([]Input{{Name: "schema example", Text: example}}, all...)
	}
	if len(all) == 0 {
		e.found(Finding{Check: "input", Status: Warn, Reason: "there is none to try: give one with --input, or spec.inputSchema an example"})
	}
	var sound []Input
	for _, input := range all {
		if e.accepts(input) {
			sound = append(sound, input)
		}
	}
	return sound
}

// accepts says whether the type's schema accepts an input, and reports it.
func (e *examination) accepts(input Input) bool {
	f := Finding{Check: "input", Input: input.Name, Status: Pass, Reason: "inputSchema accepts it"}
	if v, ok := errors.AsType[*rules.Violation](e.rules.CheckInput(input.Text)); ok {
		f.Status, f.Reason = Fail, "a POST of it is refused: "+rehearsal.Explain(v.Code, v.ErrorDetails())
	}
	e.found(f)
	return f.Status == Pass
}

// runnable says whether there is a command to run, and reports it when not.
func (e *examination) runnable() bool {
	e.Command = rehearsal.CommandOf(e.t, e.Command)
	f := Finding{Check: "command", Status: Fail}
	if len(e.Command) == 0 {
		f.Reason = "the type has no spec.command: give the worker's command after --"
		e.found(f)
		return false
	}
	if _, err := exec.LookPath(e.Command[0]); err != nil {
		f.Reason = fmt.Sprintf("%s cannot be run on this machine: give a command that can after --, or --no-run", e.Command[0])
		f.Details = []string{err.Error()}
		e.found(f)
		return false
	}
	return true
}

// explain is a violation on one line.
func explain(v *rules.Violation) string {
	where := "at " + v.Details.At
	if v.Details.Expected != nil {
		where += fmt.Sprintf(", expected %s", v.Details.Expected)
	}
	return where
}
