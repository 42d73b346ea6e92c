// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/authorkit/localrun"
	"procman.dev/procman/authorkit/manifest"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/strictjson"
	"procman.dev/procman/internal/wire"
)

// defaultGrace is the operator's default for the time between SIGTERM and SIGKILL.
const defaultGrace = 25 * time.Second

// runFlags are the flags of procman worker run.
type runFlags struct {
	file, input    string
	jsonOnly       bool
	attempts       int32
	grace, backoff time.Duration
}

func newRun() *cobra.Command {
	var flags runFlags
	c := &cobra.Command{
		Use:   "run -f PROCESSTYPE --input FILE [flags] [-- COMMAND [ARGUMENT...]]",
		Short: "Run a worker on this machine as in a cluster",
		Long: `Run a worker on this machine as in a cluster: with the real agent, and with the
files and environment variables of the worker contract. The attempts, timeout
and output limit of the type apply. The input is validated against inputSchema,
the output against outputSchema. The worker's own output is passed through. The
last line is the JSON that the API would return for a GET of the process.

The command is spec.command of the type, or the arguments after --. It runs in
the current directory with the current environment, not in the image. The limits
of a pod are not applied: memory, CPU, read-only file system, user.

Ctrl-C cancels the process: the worker gets SIGTERM, and SIGKILL after --grace.

Exit status: 0 complete, 1 error, 2 a flag or a file is not valid, 130
cancelled.`,
		Example: `  procman worker run -f processtype.yaml --input in.json
  procman worker run -f processtype.yaml --input in.json -- python3 wordcount.py
  procman worker run -f processtype.yaml --input in.json --json | jq .output`,
		RunE: func(c *cobra.Command, args []string) error {
			command, err := commandAfterDash(c, args)
			if err != nil {
				return err
			}
			return flags.run(c, command)
		},
	}
	f := c.Flags()
	f.StringVarP(&flags.file, "filename", "f", "", "`FILE` with the ProcessType")
	f.StringVar(&flags.input, "input", "", "`FILE` with the input, a JSON object; - reads standard input")
	f.BoolVar(&flags.jsonOnly, "json", false, "print only the JSON; the worker's own output goes to standard error")
	f.Int32Var(&flags.attempts, "attempts", 0, "how often to start a worker that crashes (default: the type's attempts)")
	f.DurationVar(&flags.grace, "grace", defaultGrace, "time between SIGTERM and SIGKILL")
	f.DurationVar(&flags.backoff, "backoff", 0, "pause before the next attempt; a cluster waits 10s, and doubles that each time")
	return c
}

func (f *runFlags) run(c *cobra.Command, command []string) error {
	t, input, err := f.read(c.InOrStdin())
	if err != nil {
		return err
	}
	if command = localrun.CommandOf(t, command); len(command) == 0 {
		return fmt.Errorf("%s: spec.command is not set: give the worker's command after --", f.file)
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return fmt.Errorf("%w: give a command that exists on this machine after --", err)
	}
	self, err := program()
	if err != nil {
		return err
	}
	o := localrun.Options{
		Type: t, Input: input, Command: command, Program: self,
		Attempts: f.attempts, Grace: f.grace, Backoff: f.backoff,
		Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr(),
	}
	if f.jsonOnly {
		o.Stdout = o.Stderr
	} else {
		d := newDisplay(c.ErrOrStderr())
		defer d.close()
		o.Observe, o.Stdout, o.Stderr = d.observe, d.wrap(o.Stdout), d.wrap(o.Stderr)
	}
	outcome, err := localrun.Run(c.Context(), o)
	if err != nil {
		return err
	}
	if outcome.Cancelled && !outcome.Process.Finished() {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "procman: cancelled. In a cluster, a DELETE does this and removes the process")
		return exitStatus(exitCancelled)
	}
	var shown []byte
	for _, part := range wire.Process(outcome.Process, wire.All, 0) { // nothing is in a store
		shown = append(shown, part.Text...)
	}
	if _, err := fmt.Fprintf(c.OutOrStdout(), "%s\n", shown); err != nil {
		return fmt.Errorf("print the process: %w", err)
	}
	if outcome.Process.Status.State != v1alpha1.StateComplete {
		return exitStatus(exitFailed)
	}
	return nil
}

// read reads the files that the flags name and validates the input against the type.
func (f *runFlags) read(stdin io.Reader) (*v1alpha1.ProcessType, []byte, error) {
	switch {
	case f.file == "":
		return nil, nil, errors.New("--filename is not set, expected a file with a ProcessType")
	case f.input == "":
		return nil, nil, errors.New("--input is not set, expected a file with a JSON object")
	case f.attempts < 0 || f.attempts > 10:
		return nil, nil, fmt.Errorf("--attempts is %d, expected 1 to 10", f.attempts)
	case f.grace < time.Second || f.grace%time.Second != 0:
		return nil, nil, fmt.Errorf("--grace is %s, expected whole seconds, at least 1s", f.grace)
	}
	t, err := manifest.Load(f.file)
	if err != nil {
		return nil, nil, err
	}
	input, err := readInput(f.input, stdin)
	if err != nil {
		return nil, nil, err
	}
	if err := strictjson.CheckObject(input); err != nil { // reports where the JSON is not valid
		return nil, nil, fmt.Errorf("%s: a POST with this input would be rejected: %s: %w", f.input, errorcode.InvalidInput, err)
	}
	err = rules.New(t).CheckInput(input)
	if v, ok := errors.AsType[*rules.Violation](err); ok {
		return nil, nil, fmt.Errorf("%s: a POST with this input would be rejected: %s", f.input, localrun.Explain(v.Code, v.ErrorDetails()))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.file, err)
	}
	return t, input, nil
}

// maxInputFile is the maximum size of an input file in bytes. It is far above any limit
// that a type can set.
const maxInputFile = 16 << 20

// readInput reads an input from a file, or from stdin if name is "-". It removes the
// white space around the input, because the input in a POST has none.
func readInput(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		stdin = file
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxInputFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(text) > maxInputFile:
		return nil, fmt.Errorf("%s: a POST with this input would be rejected: %s: it is larger than %d bytes", name, errorcode.InputTooLarge, maxInputFile)
	}
	return bytes.TrimSpace(text), nil
}
