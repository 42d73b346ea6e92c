package authorkit

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"procman.dev/procman/authorkit/conformance"
)

// checkFlags are the flags of worker check.
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
		Use:   "check -f PROCESSTYPE [--input FILE]... [-- COMMAND [ARGUMENT...]]",
		Short: "Check that a worker keeps the contract",
		Long: `Check that a worker keeps the contract, on this machine: its ProcessType as an
API server would, its schemas and examples, and then the worker itself, which is
run some five times for each input. One line says what each check found:

  PASS  it is as it should be
  WARN  it works, and will surprise somebody one day
  FAIL  it does not keep the contract
  SKIP  it could not be looked at

Inputs are those of --input, which have to complete, and the example that
spec.inputSchema gives. --refuse takes inputs that the schema accepts and the
worker has to refuse with an error of its own.

Memory and CPU limits and the read-only file system of a pod are not enforced.

Exit status: 0 nothing failed, 1 something did, 2 a flag or file is not what it
has to be.`,
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
	f.StringVarP(&flags.file, "filename", "f", "", "file with the ProcessType")
	f.StringArrayVar(&flags.inputs, "input", nil, "file with an input that is to complete; may be repeated")
	f.StringArrayVar(&flags.refused, "refuse", nil, "file with an input that the worker is to refuse; may be repeated")
	f.BoolVar(&flags.noRun, "no-run", false, "check the ProcessType and the inputs alone")
	f.DurationVar(&flags.grace, "grace", defaultGrace, "what the worker gets between SIGTERM and SIGKILL")
	f.StringVar(&flags.output, "output", "text", "text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return c
}

func (f *checkFlags) check(c *cobra.Command, command []string) error {
	switch {
	case f.file == "":
		return errors.New("--filename is not set, expected a file with a ProcessType")
	case f.output != "text" && f.output != "json":
		return fmt.Errorf("--output is %q, expected text or json", f.output)
	case f.grace < time.Second || f.grace%time.Second != 0:
		return fmt.Errorf("--grace is %s, expected whole seconds, 1s or more", f.grace)
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
		o.Each = func(finding conformance.Finding) { finding.WriteText(out) }
	}
	report, err := conformance.Check(c.Context(), o)
	if c.Context().Err() != nil {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "procman: cancelled")
		return exit(exitCancelled)
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
		return exit(exitFailed)
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
