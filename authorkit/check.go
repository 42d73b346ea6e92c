// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"procman.dev/procman/authorkit/conformance"
)

// checkFlags are the flags of procman worker check.
type checkFlags struct {
	file            string
	inputs, refused []string
	noRun           bool
	grace           time.Duration
	output          string
}

func newCheck() *cobra.Command {
	var flags checkFlags
	c := &cobra.Command{
		Use:   "check -f PROCESSTYPE [--input FILE]... [flags] [-- COMMAND [ARGUMENT...]]",
		Short: "Check that a worker follows the worker contract",
		Long: `Check on this machine that a worker follows the worker contract. The ProcessType
is validated as the API server would do it, with its schemas and examples. Then
the worker runs twice on each input, and a few times more. Each check prints one
line:

  PASS  the check succeeded
  WARN  the worker works, but this may cause a problem in production
  FAIL  the worker or its ProcessType breaks the contract
  SKIP  this could not be checked

The worker must complete each --input, and the example in spec.inputSchema. It
must refuse each --refuse input with an error of its own; inputSchema must accept
these inputs, too.

The limits of a pod are not applied: memory, CPU, read-only file system.

Exit status: 0 no check failed, 1 a check failed, 2 a flag or a file is not
valid.`,
		Example: `  procman worker check -f processtype.yaml --input in.json
  procman worker check -f processtype.yaml --refuse blank.json -- python3 wordcount.py
  procman worker check -f processtype.yaml --no-run --output json`,
		RunE: func(c *cobra.Command, args []string) error {
			command, err := commandAfterDash(c, args)
			if err != nil {
				return err
			}
			return flags.check(c, command)
		},
	}
	f := c.Flags()
	f.StringVarP(&flags.file, "filename", "f", "", "`FILE` with the ProcessType")
	f.StringArrayVar(&flags.inputs, "input", nil, "`FILE` with an input that the worker must complete; can be repeated")
	f.StringArrayVar(&flags.refused, "refuse", nil, "`FILE` with an input that the worker must refuse; can be repeated")
	f.BoolVar(&flags.noRun, "no-run", false, "check only the ProcessType and the inputs; do not run the worker")
	f.DurationVar(&flags.grace, "grace", defaultGrace, "time between SIGTERM and SIGKILL")
	f.StringVar(&flags.output, "output", "text", "format of the report: text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
	return c
}

func (f *checkFlags) check(c *cobra.Command, command []string) error {
	switch {
	case f.file == "":
		return errors.New("--filename is not set, expected a file with a ProcessType")
	case f.output != "text" && f.output != "json":
		return fmt.Errorf("--output is %q, expected text or json", f.output)
	case f.grace < time.Second || f.grace%time.Second != 0:
		return fmt.Errorf("--grace is %s, expected whole seconds, at least 1s", f.grace)
	}
	self, err := program()
	if err != nil {
		return err
	}
	o := conformance.Options{File: f.file, Command: command, NoRun: f.noRun, Program: self, Grace: f.grace}
	if o.Inputs, err = readInputs(c, f.inputs); err != nil {
		return err
	}
	if o.Refused, err = readInputs(c, f.refused); err != nil {
		return err
	}
	out := c.OutOrStdout()
	if f.output == "text" {
		o.OnFinding = func(finding conformance.Finding) { finding.WriteText(out) }
	}
	report, err := conformance.Check(c.Context(), o)
	if c.Context().Err() != nil {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "procman: cancelled")
		return exitStatus(exitCancelled)
	}
	if err != nil {
		return err
	}
	if f.output == "json" {
		err = report.WriteJSON(out)
	} else {
		_, err = fmt.Fprintf(out, "\n%s\n", report.Summary())
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if !report.Passed {
		return exitStatus(exitFailed)
	}
	return nil
}

func readInputs(c *cobra.Command, names []string) ([]conformance.Input, error) {
	inputs := make([]conformance.Input, 0, len(names))
	for _, name := range names {
		text, err := readInput(name, c.InOrStdin())
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, conformance.Input{Name: name, Text: text})
	}
	return inputs, nil
}
