// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agent runs a worker's command in its pod: it gets the process's input from
// the operator's collector, runs the command on the files of docs/contract.md,
// section 2, and delivers the result. It is the container's PID 1.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// Run runs one attempt, from getting the input to writing the receipt. It returns the
// exit code for the container: 0 when the process is complete, agentapi.ExitFinal
// when another attempt is pointless, agentapi.ExitInterrupted when this one does not
// count, and otherwise the worker's own code.
func Run(ctx context.Context, c Config) int {
	collector := newCollector(&c)
	// Without a handler, a broken pipe on standard error would end the agent.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	// The function that restores the default behaviour is never called: while the pod is
	// being stopped, the agent delivers the result, until the kubelet sends SIGKILL.
	ctx, _ = signal.NotifyContext(ctx, stopSignals()...)

	if err := removeOld(&c); err != nil {
		slog.Error("prepare the worker's files", "error", err)
		return fail(&c, "its files could not be created: "+err.Error())
	}
	in, err := collector.fetchInput(ctx, c.InputFile())
	switch {
	case errors.Is(err, errFile):
		slog.Error("prepare the worker's files", "error", err)
		return fail(&c, "its files could not be created: "+err.Error())
	case errors.Is(err, agentapi.ErrSuperseded):
		slog.Info("the worker is not started: a newer attempt of the process exists", "cause", err)
		return agentapi.ExitInterrupted
	case errors.Is(err, agentapi.ErrOver):
		slog.Info("the worker is not started: the process is terminal or deleted", "cause", err)
		return agentapi.ExitFinal
	case ctx.Err() != nil:
		slog.Info("the worker is not started: the pod is being stopped")
		return agentapi.ExitInterrupted
	case err != nil:
		slog.Error("get the input", "error", err) // the error names hosts, so clients do not get it
		return fail(&c, "its pod could not get the input from the operator; the pod's log has the reason")
	}
	deadline := time.Now().Add(in.Timeout)

	stopProgress := collector.reportProgress(ctx, c.ProgressFile())
	started := time.Now()
	e := supervise(ctx, &c, c.WorkerEnviron(&in, deadline), deadline)
	stopProgress()

	// If a file was too large, supervise killed the worker and has already set that file.
	if e.output == nil {
		e.output = readFile(c.outputFile(), c.OutputLimit)
	}
	if e.errorFile == nil {
		e.errorFile = readFile(c.errorFile(), agentapi.MaxErrorDetailsBytes)
	}
	result := judge(e, bounds{timeout: in.Timeout, outputLimit: c.OutputLimit})
	result.Attempt, result.StartTime = in.Attempt, started.UTC()
	if percent, ok := readProgress(c.ProgressFile()); ok {
		result.PercentComplete = &percent
	}

	// The receipt is written before the delivery, in case the agent is killed during it.
	receipt := agentapi.Receipt{Result: result}
	writeReceipt(&c, receipt)
	switch err := collector.deliver(result); {
	case errors.Is(err, agentapi.ErrSuperseded):
		slog.Info("the result does not count: a newer attempt of the process exists", "cause", err)
		return agentapi.ExitInterrupted
	case errors.Is(err, agentapi.ErrOver):
		// This result may be the reason: the response to an earlier try can be lost.
		slog.Info("the result is not needed: the process is terminal or deleted", "cause", err)
		receipt.Delivered = true
	case err != nil:
		slog.Error("deliver the result; the termination message has as much of it as fits", "error", err)
	default:
		receipt.Delivered = true
	}
	if receipt.Delivered {
		writeReceipt(&c, receipt)
	}
	return exitCode(e, result)
}

// fail ends an attempt whose worker was not started, and the worker is not the cause. The
// receipt contains the cause; the operator uses it if no other attempt succeeds.
func fail(c *Config, why string) int {
	result := agentapi.Failure(errorcode.WorkerFailed, map[string]any{"message": "the worker was not started: " + why})
	result.Retry = true
	writeReceipt(c, agentapi.Receipt{Result: result})
	return 1
}

// exitCode returns the container's exit code for a result. The Job's pod failure
// policy and its backoff limit depend on it.
func exitCode(e ending, r agentapi.Result) int {
	switch {
	case r.Complete():
		return 0
	case !r.Retry:
		return agentapi.ExitFinal
	case r.Interrupted:
		return agentapi.ExitInterrupted
	case e.signal != 0:
		return 128 + int(e.signal)
	case e.exitCode == agentapi.ExitFinal, e.exitCode == agentapi.ExitInterrupted:
		return 1
	}
	return e.exitCode
}

// removeOld removes the output, error and progress files that an earlier run in this
// container left.
func removeOld(c *Config) error {
	for _, name := range []string{c.outputFile(), c.errorFile(), c.ProgressFile()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the file of an earlier run: %w", err)
		}
	}
	return nil
}

// WorkerEnviron returns the worker's environment: that of the container, and the
// variables of the contract. The latter are at the end, so that os/exec prefers them to
// variables with the same names.
func (c *Config) WorkerEnviron(in *agentapi.Input, deadline time.Time) []string {
	return append(slices.Clone(c.Environ),
		agentapi.EnvProcessID+"="+in.ProcessID,
		agentapi.EnvProcessType+"="+in.ProcessType,
		agentapi.EnvAttempt+"="+strconv.Itoa(int(in.Attempt)),
		agentapi.EnvDeadline+"="+deadline.UTC().Format(time.RFC3339),
		agentapi.EnvInputFile+"="+c.InputFile(),
		agentapi.EnvOutputFile+"="+c.outputFile(),
		agentapi.EnvErrorFile+"="+c.errorFile(),
		agentapi.EnvProgressFile+"="+c.ProgressFile(),
	)
}

// writeReceipt writes the receipt. An error is only logged: the delivery can still
// succeed.
func writeReceipt(c *Config, r agentapi.Receipt) {
	if err := os.WriteFile(c.TerminationLog, r.Encode(), 0o600); err != nil {
		slog.Error("write the receipt to the termination message", "error", err)
	}
}
