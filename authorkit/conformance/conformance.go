// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/timing"
)

// Input is a JSON object to try the worker with.
type Input struct {
	// Name identifies the input in the report: its file name.
	Name string
	Text []byte
}

// Options selects what Check checks.
type Options struct {
	// File is the name of the file with the ProcessType.
	File string
	// Inputs are inputs that the worker must complete. The example of the type's
	// inputSchema is added to them.
	Inputs []Input
	// Refused are inputs that the type's inputSchema accepts and that the worker
	// must refuse with an error of its own.
	Refused []Input
	// Command is the worker's command. Empty means the type's own.
	Command []string
	// NoRun skips all checks that run the worker.
	NoRun bool
	// Program is rehearsal.Options.Program.
	Program string
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	// OnFinding is called with each finding as soon as it is made. It can be nil.
	OnFinding func(Finding)
}

// Check runs all checks and reports their findings. An error means that a check
// could not be carried out. It says nothing about the worker.
func Check(ctx context.Context, o Options) (*Report, error) {
	e := &examination{Options: o, report: &Report{Passed: true}}
	err := e.all(ctx)
	return e.report, err
}

// examination is one run of all checks, and its report so far.
type examination struct {
	Options
	report *Report
	t      *v1alpha1.ProcessType
	rules  *rules.Rules
	// longest is the input whose run took longest: it leaves the most time to send
	// a signal. It is nil if no input completed. took is the duration of that run.
	longest *Input
	took    time.Duration
}

func (e *examination) found(f Finding) {
	e.report.Findings = append(e.report.Findings, f)
	if f.Status == Fail {
		e.report.Passed = false
	}
	if e.OnFinding != nil {
		e.OnFinding(f)
	}
}

// all runs the checks in order. The checks of the type come first, because a worker
// cannot run without a valid type.
func (e *examination) all(ctx context.Context) error {
	inputs, ok, err := e.checkType()
	if err != nil || !ok || e.NoRun || !e.checkCommand() {
		return err
	}
	for _, check := range []func(context.Context, []Input) error{
		e.checkRuns, e.checkRefusals, e.checkEmptyInput, e.checkSIGTERM, e.checkChildren,
	} {
		if err := check(ctx, inputs); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("check the worker: %w", err)
		}
	}
	e.found(Finding{Check: "files", Status: Skip, Reason: "not checked on this machine: in a pod, the worker can write only to /tmp and to the files of the contract"})
	return nil
}

// checkType checks the type, its schemas and the inputs. It returns the valid
// inputs, and false if the type is not valid. The error is about a file that cannot
// be read.
func (e *examination) checkType() ([]Input, bool, error) {
	t, err := manifest.Load(e.File)
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, false, err
	}
	if problems, ok := errors.AsType[manifest.Problems](err); ok {
		e.found(Finding{Check: "processtype", Status: Fail, Reason: e.File + ": the API server would reject this ProcessType", Details: problems})
		return nil, false, nil
	}
	if err != nil {
		e.found(Finding{Check: "processtype", Status: Fail, Reason: err.Error()})
		return nil, false, nil
	}
	e.t, e.report.ProcessType = t, t.Name
	e.found(Finding{Check: "processtype", Status: Pass, Reason: t.Name + ": the API server would accept this ProcessType"})

	if err := timing.CheckLifetime(&t.Spec); err != nil {
		e.found(Finding{Check: "lifetime", Status: Fail, Reason: "a process can expire while its worker runs: the operator would not accept the type", Details: []string{err.Error()}})
		return nil, false, nil
	}

	e.rules = rules.New(t)
	inputErr, outputErr := e.rules.InputSchemaError(), e.rules.OutputSchemaError()
	if inputErr != nil || outputErr != nil {
		f := Finding{Check: "schemas", Status: Fail, Reason: "a schema is not valid: the operator would not accept the type"}
		if inputErr != nil {
			f.Details = append(f.Details, inputErr.Error())
		}
		if outputErr != nil {
			f.Details = append(f.Details, outputErr.Error())
		}
		e.found(f)
		return nil, false, nil
	}
	e.found(Finding{Check: "schemas", Status: Pass, Reason: "inputSchema and outputSchema are valid"})

	if example, ok := exampleIn(t.Spec.OutputSchema); ok {
		f := Finding{Check: "schemas", Status: Pass, Reason: "the example in outputSchema matches it"}
		if v, ok := errors.AsType[*rules.Violation](e.rules.CheckOutput(example)); ok {
			f.Status, f.Reason = Fail, "the example in outputSchema does not match it: "+errorcode.Explain(v.ErrorDetails())
		}
		e.found(f)
	}
	return e.validInputs(), true, nil
}

// validInputs checks all inputs that the worker must complete, and returns those
// that the type's inputSchema accepts.
func (e *examination) validInputs() []Input {
	all := e.Inputs
	if example, ok := exampleIn(e.t.Spec.InputSchema); ok {
		all = append([]Input{{Name: "schema example", Text: example}}, all...)
	}
	if len(all) == 0 {
		e.found(Finding{Check: "input", Status: Warn, Reason: "no input to run the worker with: add --input, or an example to spec.inputSchema"})
	}
	var valid []Input
	for _, input := range all {
		if e.checkInput(input) {
			valid = append(valid, input)
		}
	}
	return valid
}

// checkInput reports whether the type's inputSchema accepts an input.
func (e *examination) checkInput(input Input) bool {
	f := Finding{Check: "input", Input: input.Name, Status: Pass, Reason: "inputSchema accepts it"}
	if v, ok := errors.AsType[*rules.Violation](e.rules.CheckInput(input.Text)); ok {
		f.Status, f.Reason = Fail, "a POST with this input would be rejected: "+rehearsal.Explain(v.Code, v.ErrorDetails())
	}
	e.found(f)
	return f.Status == Pass
}

// checkCommand reports whether the worker's command can run on this machine. It adds
// a finding only if it cannot.
func (e *examination) checkCommand() bool {
	e.Command = rehearsal.CommandOf(e.t, e.Command)
	f := Finding{Check: "command", Status: Fail}
	if len(e.Command) == 0 {
		f.Reason = "spec.command is not set: give the worker's command after --"
		e.found(f)
		return false
	}
	if _, err := exec.LookPath(e.Command[0]); err != nil {
		f.Reason = fmt.Sprintf("%s cannot run on this machine: give another command after --, or use --no-run", e.Command[0])
		f.Details = []string{err.Error()}
		e.found(f)
		return false
	}
	return true
}
