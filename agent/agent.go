// Package agent runs a worker's command inside its pod: it gets the process's
// input, runs the command on the files of the contract, and delivers what
// became of it (CONTRACT.md, section 2). It is the container's PID 1.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// Run does one attempt from fetching the input to leaving the receipt, and
// returns the exit code for the container: 0 when the process is complete,
// agentapi.ExitFinal when another attempt is pointless, and otherwise the
// worker's own code.
func Run(ctx context.Context, c Config) int {
	collector := newCollector(&c)
	// A log that nobody reads any more must not end the agent.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	// Never given back: the result has to be delivered even while the pod is
	// being stopped, until the kubelet's SIGKILL.
	ctx, _ = signal.NotifyContext(ctx, stopSignals()...)

	input, err := collector.fetchInput(ctx)
	switch {
	case errors.Is(err, errSuperseded):
		slog.Info("nothing to do: another attempt has the process", "cause", err)
		return agentapi.ExitInterrupted
	case errors.Is(err, errNotWanted):
		slog.Info("nothing to do: the process is over", "cause", err)
		return agentapi.ExitFinal
	case ctx.Err() != nil:
		slog.Info("told to stop before the worker was started")
		return agentapi.ExitInterrupted
	case err != nil:
		slog.Error("get the input", "error", err) // it names hosts: not for clients
		return fail(&c, "its pod could not get the input from the operator; the pod's log says why")
	}
	deadline := time.Now().Add(c.Timeout)
	if err := prepare(&c, input.text); err != nil {
		slog.Error("prepare the worker's files", "error", err)
		return fail(&c, "its files could not be made: "+err.Error())
	}

	stopProgress := collector.reportProgress(ctx, c.progressFile())
	started := time.Now()
	e := supervise(ctx, &c, workerEnviron(&c, input.attempt, deadline), deadline)
	stopProgress()

	// A file that is set already is the one that the worker was stopped for.
	if e.output == nil {
		e.output = readFile(c.outputFile(), c.OutputLimit)
	}
	if e.errorFile == nil {
		e.errorFile = readFile(c.errorFile(), agentapi.MaxErrorDetailsBytes)
	}
	result := judge(e, bounds{timeout: c.Timeout, outputLimit: c.OutputLimit})
	result.Attempt, result.StartTime = input.attempt, started.UTC()

	// The receipt comes first: from here on the result outlives this process.
	receipt := agentapi.Receipt{Result: result}
	leave(&c, receipt)
	switch err := collector.deliver(result); {
	case errors.Is(err, errSuperseded):
		slog.Info("the result counts for nothing: another attempt has the process", "cause", err)
		return agentapi.ExitInterrupted
	case err != nil:
		slog.Error("deliver the result; it remains in the receipt as far as that can hold it", "error", err)
	default:
		receipt.Delivered = true
		leave(&c, receipt)
	}
	return exitCode(e, result)
}

// fail ends an attempt whose worker was never started, through no fault of its
// own: why is left for the operator to tell, should no attempt do better.
func fail(c *Config, why string) int {
	result := agentapi.Failure(errorcode.WorkerFailed, map[string]any{"message": "the worker was not started: " + why})
	result.Retry = true
	leave(c, agentapi.Receipt{Result: result})
	return 1
}

// exitCode is what the Job sees of a result.
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

// prepare makes the directory as an attempt has to find it: the input and
// nothing else of the contract's files.
func prepare(c *Config, input []byte) error {
	for _, name := range []string{c.outputFile(), c.errorFile(), c.progressFile()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what an earlier run of this container left: %w", err)
		}
	}
	if err := os.WriteFile(c.inputFile(), input, 0o600); err != nil {
		return fmt.Errorf("write the input: %w", err)
	}
	return nil
}

// workerEnviron is the worker's environment: the container's own, and the
// names of the contract. PROCESS_ID and PROCESS_TYPE are the container's.
func workerEnviron(c *Config, attempt int32, deadline time.Time) []string {
	ours := map[string]string{
		agentapi.EnvInputFile:    c.inputFile(),
		agentapi.EnvOutputFile:   c.outputFile(),
		agentapi.EnvErrorFile:    c.errorFile(),
		agentapi.EnvProgressFile: c.progressFile(),
		agentapi.EnvAttempt:      strconv.Itoa(int(attempt)),
		agentapi.EnvDeadline:     deadline.UTC().Format(time.RFC3339),
	}
	// Of a name that is there twice most programs see the first.
	environ := slices.DeleteFunc(slices.Clone(c.Environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, taken := ours[name]
		return taken
	})
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		environ = append(environ, name+"="+ours[name])
	}
	return environ
}

// leave writes the receipt. Where that fails the delivery still stands.
func leave(c *Config, r agentapi.Receipt) {
	if err := os.WriteFile(c.TerminationLog, r.Encode(), 0o600); err != nil {
		slog.Error("leave the receipt", "error", err)
	}
}
