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
	"procman.dev/procman/authorkit/localrun"
	"procman.dev/procman/authorkit/manifest"
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
	// Inputs are inputs that the worker must complete. Check adds the example of the type's
	// inputSchema.
	Inputs []Input
	// Refused are inputs that the type's inputSchema accepts and that the worker
	// must refuse with an error of its own.
	Refused []Input
	// Command is the worker's command. Empty means the command of the type.
	Command []string
	// NoRun skips all checks that run the worker.
	NoRun bool
	// Program is the value for localrun.Options.Program.
	Program string
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	// OnFinding is called with each finding immediately. It can be nil.
	OnFinding func(Finding)
}

// Check runs all checks and reports their findings. An error means that a check could not
// run. The worker is not the cause of it.
func Check(ctx context.Context, o Options) (*Report, error) {
	c := &checker{Options: o, report: &Report{Passed: true}}
	err := c.run(ctx)
	return c.report, err
}

// checker runs all checks once. report has the findings so far.
type checker struct {
	Options
	report *Report
	t      *v1alpha1.ProcessType
	rules  *rules.Rules
	// longest is the input whose run took the longest, and longestDuration is the duration
	// of that run: it leaves the most time to send a signal. longest is nil if no input
	// completed.
	longest         *Input
	longestDuration time.Duration
}

func (c *checker) add(f Finding) {
	c.report.Findings = append(c.report.Findings, f)
	if f.Status == Fail {
		c.report.Passed = false
	}
	if c.OnFinding != nil {
		c.OnFinding(f)
	}
}

// run runs the checks in order. The checks of the type come first, because a worker
// cannot run without a valid type.
func (c *checker) run(ctx context.Context) error {
	inputs, ok, err := c.checkType()
	if err != nil || !ok || c.NoRun || !c.checkCommand() {
		return err
	}
	for _, check := range []func(context.Context, []Input) error{
		c.checkRuns, c.checkRefusals, c.checkEmptyInput, c.checkSIGTERM, c.checkChildren,
	} {
		if err := check(ctx, inputs); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("check the worker: %w", err)
		}
	}
	c.add(Finding{Check: "files", Status: Skip, Reason: "not checked on this machine: in a pod, the worker can write only to /tmp and to the files of the contract"})
	return nil
}

// checkType checks the type, its schemas and the inputs. It returns the valid inputs,
// and whether the type is valid. It returns an error if a file cannot be read.
func (c *checker) checkType() ([]Input, bool, error) {
	t, err := manifest.Load(c.File)
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, false, err
	}
	if problems, ok := errors.AsType[manifest.Problems](err); ok {
		c.add(Finding{Check: "processtype", Status: Fail, Reason: c.File + ": the API server would reject this ProcessType", Details: problems})
		return nil, false, nil
	}
	if err != nil {
		c.add(Finding{Check: "processtype", Status: Fail, Reason: err.Error()})
		return nil, false, nil
	}
	c.t, c.report.ProcessType = t, t.Name
	c.add(Finding{Check: "processtype", Status: Pass, Reason: t.Name + ": the API server would accept this ProcessType"})

	if err := timing.CheckLifetime(&t.Spec); err != nil {
		c.add(Finding{Check: "lifetime", Status: Fail, Reason: "a process can expire while its worker runs: the operator would not accept the type", Details: []string{err.Error()}})
		return nil, false, nil
	}

	c.rules = rules.New(t)
	inputErr, outputErr := c.rules.InputSchemaError(), c.rules.OutputSchemaError()
	if inputErr != nil || outputErr != nil {
		f := Finding{Check: "schemas", Status: Fail, Reason: "a schema is not valid: the operator would not accept the type"}
		if inputErr != nil {
			f.Details = append(f.Details, inputErr.Error())
		}
		if outputErr != nil {
			f.Details = append(f.Details, outputErr.Error())
		}
		c.add(f)
		return nil, false, nil
	}
	c.add(Finding{Check: "schemas", Status: Pass, Reason: "inputSchema and outputSchema are valid"})

	if example, ok := exampleIn(t.Spec.OutputSchema); ok {
		f := Finding{Check: "schemas", Status: Pass, Reason: "the example in outputSchema matches it"}
		if v, ok := errors.AsType[*rules.Violation](c.rules.CheckOutput(example)); ok {
			f.Status, f.Reason = Fail, "the example in outputSchema does not match it: "+errorcode.Explain(v.ErrorDetails())
		}
		c.add(f)
	}
	return c.validInputs(), true, nil
}

// validInputs checks all inputs that the worker must complete, and returns those
// that the type's inputSchema accepts.
func (c *checker) validInputs() []Input {
	all := c.Inputs
	if example, ok := exampleIn(c.t.Spec.InputSchema); ok {
		all = append([]Input{{Name: "schema example", Text: example}}, all...)
	}
	if len(all) == 0 {
		c.add(Finding{Check: "input", Status: Warn, Reason: "no input to run the worker with: add --input, or an example to spec.inputSchema"})
	}
	var valid []Input
	for _, input := range all {
		if c.checkInput(input) {
			valid = append(valid, input)
		}
	}
	return valid
}

// checkInput reports whether the type's inputSchema accepts an input.
func (c *checker) checkInput(input Input) bool {
	f := Finding{Check: "input", Input: input.Name, Status: Pass, Reason: "inputSchema accepts it"}
	if v, ok := errors.AsType[*rules.Violation](c.rules.CheckInput(input.Text)); ok {
		f.Status, f.Reason = Fail, "a POST with this input would be rejected: "+localrun.Explain(v.Code, v.ErrorDetails())
	}
	c.add(f)
	return f.Status == Pass
}

// checkCommand reports whether the worker's command can run on this machine. It adds
// a finding only if it cannot.
func (c *checker) checkCommand() bool {
	c.Command = localrun.CommandOf(c.t, c.Command)
	f := Finding{Check: "command", Status: Fail}
	if len(c.Command) == 0 {
		f.Reason = "spec.command is not set: give the worker's command after --"
		c.add(f)
		return false
	}
	if _, err := exec.LookPath(c.Command[0]); err != nil {
		f.Reason = fmt.Sprintf("%s cannot run on this machine: give another command after --, or use --no-run", c.Command[0])
		f.Details = []string{err.Error()}
		c.add(f)
		return false
	}
	return true
}
