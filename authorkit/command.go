// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authorkit is the command line for authors of workers: it creates a
// worker project, runs the worker without a cluster, and checks that it follows
// the worker contract.
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

	"procman.dev/procman/authorkit/localrun"
)

// Exit statuses of the program other than 0.
const (
	// exitFailed: the process ended in error, or a check failed.
	exitFailed = 1
	// exitUsage: a flag, an argument or a file is not valid.
	exitUsage = 2
	// exitCancelled is the exit status by which shells report SIGINT.
	exitCancelled = 128 + int(syscall.SIGINT)
)

// exitStatus is an error without a text of its own: the program has already printed what
// is wrong, and only has to exit with this status.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Main runs the command line and returns the exit status. If args begin with
// localrun.AgentCommand, it runs the agent instead.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == localrun.AgentCommand {
		return localrun.RunAgent(args[1:], os.Environ())
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
	if code, ok := errors.AsType[exitStatus](err); ok {
		return int(code)
	}
	_, _ = fmt.Fprintln(stderr, "procman:", err)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "procman",
		Short:         "Create, run and check workers for Process Manager",
		Long:          `Create, run and check workers for Process Manager without a cluster, and print processes of a cluster.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	worker := &cobra.Command{
		Use:   "worker",
		Short: "Create, run and check a worker",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	worker.AddCommand(newInit(), newRun(), newCheck())
	root.AddCommand(worker, newGet(), newVersion())
	return root
}

// commandAfterDash returns the worker's command: the arguments after "--", or nil
// if there is no "--". An argument before "--" is an error.
func commandAfterDash(c *cobra.Command, args []string) ([]string, error) {
	dash := c.ArgsLenAtDash()
	switch {
	case dash < 0 && len(args) > 0, dash > 0:
		return nil, fmt.Errorf("unexpected argument %q: put the worker's command after --", args[0])
	case dash == 0 && len(args) == 0:
		return nil, errors.New("no command after --, expected: -- COMMAND [ARGUMENT...]")
	}
	return args, nil
}

// program returns the path of this program, which is started again as the agent.
func program() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the path of this program, to start it as the agent: %w", err)
	}
	return path, nil
}
