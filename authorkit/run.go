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
	"procman.dev/procman/apiserver"
	"procman.dev/procman/authorkit/manifest"
	"procman.dev/procman/authorkit/rehearsal"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/strictjson"
)

// defaultGrace is the operator's default.
const defaultGrace = 25 * time.Second

// runFlags are the flags of worker run.
type runFlags struct {
	file, input    string
	jsonOnly       bool
	attempts       int32
	grace, backoff time.Duration
}

func newRun() *cobra.Command {
	var flags runFlags
	c := &cobra.Command{
		Use:   "run -f PROCESSTYPE --input FILE [-- COMMAND [ARGUMENT...]]",
		Short: "Run a worker on this machine as a cluster would",
		Long: `Run a worker on this machine as a cluster would: under the real agent, with the
files and the environment of the contract, the type's attempts, timeout and
output limit, its input held against inputSchema and its output against
outputSchema. What the worker prints is passed through; at the end stands the
JSON that a GET of the process would answer.

The command is the type's spec.command, or what follows --. It runs in the
current directory with this environment, not in the image. What a pod adds is
not there: memory and CPU limits are not enforced, the file system is not
read-only, the user is you.

Ctrl-C cancels the process: the worker gets SIGTERM, and SIGKILL after --grace.

Exit status: 0 complete, 1 error, 2 a flag or file is not what it has to be,
130 cancelled.`,
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
	f.StringVarP(&flags.file, "filename", "f", "", "file with the ProcessType")
	f.StringVar(&flags.input, "input", "", "file with the input, one JSON object; - is standard input")
	f.BoolVar(&flags.jsonOnly, "json", false, "print the JSON alone; what the worker prints goes to standard error")
	f.Int32Var(&flags.attempts, "attempts", 0, "how often a worker that crashes is started; the type's by default")
	f.DurationVar(&flags.grace, "grace", defaultGrace, "what the worker gets between SIGTERM and SIGKILL")
	f.DurationVar(&flags.backoff, "backoff", 0, "pause before another attempt; a cluster makes one of 10s, and doubles it")
	return c
}

func (f *runFlags) run(c *cobra.Command, command []string) error {
	t, input, err := f.read(c.InOrStdin())
	if err != nil {
		return err
	}
	if command = rehearsal.CommandOf(t, command); len(command) == 0 {
		return fmt.Errorf("%s: the type has no spec.command: give the worker's command after --", f.file)
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return fmt.Errorf("%w: give a command of this machine after --", err)
	}
	self, err := program()
	if err != nil {
		return err
	}
	o := rehearsal.Options{
		Type: t, Input: input, Command: command, Program: self,
		Attempts: f.attempts, Grace: f.grace, Backoff: f.backoff,
		Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr(),
	}
	if f.jsonOnly {
		o.Stdout = o.Stderr
	} else {
		d := newDisplay(c.ErrOrStderr())
		defer d.close()
		o.Observe, o.Stdout, o.Stderr = d.observe, d.through(o.Stdout), d.through(o.Stderr)
	}
	outcome, err := rehearsal.Run(c.Context(), o)
	if err != nil {
		return err
	}
	if outcome.Cancelled && !outcome.Process.Finished() {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "procman: cancelled; on a cluster a DELETE does this, and the process is gone")
		return exit(exitCancelled)
	}
	if _, err := fmt.Fprintf(c.OutOrStdout(), "%s\n", apiserver.Resource(outcome.Process)); err != nil {
		return fmt.Errorf("print the process: %w", err)
	}
	if outcome.Process.Status.State != v1alpha1.StateComplete {
		return exit(exitFailed)
	}
	return nil
}

// read reads the files that the flags name and holds one against the other.
func (f *runFlags) read(stdin io.Reader) (*v1alpha1.ProcessType, []byte, error) {
	switch {
	case f.file == "":
		return nil, nil, errors.New("--filename is not set, expected a file with a ProcessType")
	case f.input == "":
		return nil, nil, errors.New("--input is not set, expected a file with a JSON object")
	case f.attempts < 0 || f.attempts > 10:
		return nil, nil, fmt.Errorf("--attempts is %d, expected 1 to 10", f.attempts)
	case f.grace < time.Second || f.grace%time.Second != 0:
		return nil, nil, fmt.Errorf("--grace is %s, expected whole seconds, 1s or more", f.grace)
	}
	t, err := manifest.Load(f.file)
	if err != nil {
		return nil, nil, err
	}
	input, err := readInput(f.input, stdin)
	if err != nil {
		return nil, nil, err
	}
	if err := strictjson.CheckObject(input); err != nil { // which has the place of what is no JSON
		return nil, nil, fmt.Errorf("%s: a POST of it is refused: %s: %w", f.input, errorcode.InvalidInput, err)
	}
	err = rules.New(t).CheckInput(input)
	if v, ok := errors.AsType[*rules.Violation](err); ok {
		return nil, nil, fmt.Errorf("%s: a POST of it is refused: %s", f.input, rehearsal.Explain(v.Code, v.ErrorDetails()))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.file, err)
	}
	return t, input, nil
}

// maxInputFile is far above any limit that a type can set.
const maxInputFile = 16 << 20

// readInput reads an input as it would stand in a POST: without the white space
// around it.
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
		return nil, fmt.Errorf("%s: a POST of it is refused: %s: it has more than %d bytes", name, errorcode.InputTooLarge, maxInputFile)
	}
	return bytes.TrimSpace(text), nil
}
