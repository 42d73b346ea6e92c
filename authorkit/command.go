// Package authorkit is the command line of those who write workers: it starts a
// worker's project, runs it without a cluster, and checks that it keeps the
// contract.
package authorkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"procman.dev/procman/authorkit/rehearsal"
)

// What the program exits with, beside 0.
const (
	// exitFailed: the process ended in error, a check failed.
	exitFailed = 1
	// exitUsage: a flag, an argument or a file is not what it has to be.
	exitUsage = 2
	// exitCancelled is what shells make of SIGINT.
	exitCancelled = 128 + int(syscall.SIGINT)
)

// exit is an error that says it all by its code: the output has told the rest.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Main runs the command line and returns what to exit with. In a process that
// rehearsal has started it is the agent instead.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == rehearsal.AgentCommand {
		return rehearsal.RunAgent(args[1:], os.Environ())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exit](err); ok {
		return int(code)
	}
	_, _ = fmt.Fprintln(stderr, "procman:", err)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "procman",
		Short: "The kit of those who write workers for Process Manager",
		Long: `The kit of those who write workers for Process Manager: start a worker's
project, run it on this machine as a cluster would, and check that it keeps the
contract. It needs no cluster.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	worker := &cobra.Command{
		Use:   "worker",
		Short: "Start, run and check a worker",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	worker.AddCommand(newInit(), newRun(), newCheck())
	root.AddCommand(worker, newVersion())
	return root
}

// commandAfterDash is what follows "--", the worker's command, and refuses any
// argument before it.
func commandAfterDash(c *cobra.Command, args []string) ([]string, error) {
	dash := c.ArgsLenAtDash()
	switch {
	case dash < 0 && len(args) > 0, dash > 0:
		return nil, fmt.Errorf("unexpected argument %q: the worker's command comes after --", args[0])
	case dash == 0 && len(args) == 0:
		return nil, errors.New("no command after --, expected: -- COMMAND [ARGUMENT...]")
	}
	return args, nil
}

// program is this very program, to be started again as the agent.
func program() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program, which has to run the agent: %w", err)
	}
	return path, nil
}
