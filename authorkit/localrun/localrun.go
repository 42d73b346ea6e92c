// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localrun runs a worker on this machine as in a cluster: the same agent
// fetches the input from a collector, runs the worker and delivers the result. The
// collector applies the same rules as the operator's. There is no pod.
package localrun

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/agent"
	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/agentapi/agentserver"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/rules"
)

// Options describes the process to run.
type Options struct {
	Type *v1alpha1.ProcessType
	// Input is the text of a JSON object. Run does not validate it.
	Input []byte
	// Command is the worker's program and arguments.
	Command []string
	// Program is an executable that calls RunAgent when its first argument is
	// AgentCommand.
	Program string
	// Attempts is how often the worker is started if it crashes. 0 means the attempts of
	// the type.
	Attempts int32
	// Timeout is how long the worker may run in one attempt, in whole seconds. 0 means the
	// type's timeout.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL, in whole seconds, at least 1.
	Grace time.Duration
	// Backoff is the pause between two attempts.
	Backoff time.Duration
	// Stdout and Stderr get what the worker prints. Nil means that it is discarded.
	Stdout, Stderr io.Writer
	// Observe is called with each event, by several goroutines, but not concurrently. It
	// can be nil.
	Observe func(Event)
}

// Outcome describes how a process ended.
type Outcome struct {
	// Process is terminal, unless it was cancelled.
	Process *v1alpha1.Process
	// Attempts are all attempts, in order. There is at least one.
	Attempts []Attempt
	// Cancelled is true if the context ended before the process did.
	Cancelled bool
}

// Attempt is the result of one run of the worker, and how long it took.
type Attempt struct {
	agentapi.Result
	Duration time.Duration
}

// Last returns the last attempt. Its result is the result of the process.
func (o *Outcome) Last() Attempt { return o.Attempts[len(o.Attempts)-1] }

// Run runs the process until it is terminal. If ctx ends before, the worker gets
// SIGTERM and, after the grace, SIGKILL, and the outcome is Cancelled. An error means
// that the process could not be run. The worker is not the cause of it.
func Run(ctx context.Context, o Options) (outcome *Outcome, err error) {
	dir, err := os.MkdirTemp("", "procman-")
	if err != nil {
		return nil, fmt.Errorf("create the directory of the process: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := run{
		Options: o, dir: dir, token: rand.Text(),
		attempts: cmp.Or(o.Attempts, o.Type.Spec.Attempts),
		timeout:  cmp.Or(o.Timeout, time.Duration(o.Type.Spec.TimeoutSeconds)*time.Second),
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.close()
	return r.loop(ctx)
}

// run is a running process.
type run struct {
	Options
	events
	dir, token string
	attempts   int32
	timeout    time.Duration
	collector  *collector
	server     *http.Server
	url        string
}

// open creates the process and starts its collector.
func (r *run) open() error {
	now := metav1.Now()
	process := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: newID(), CreationTimestamp: now.Rfc3339Copy()},
		Spec:       v1alpha1.ProcessSpec{Type: r.Type.Name, LifetimeSeconds: r.Type.Spec.LifetimeSeconds, Input: string(r.Input)},
	}
	typeRules := rules.New(r.Type)
	if err := typeRules.OutputSchemaError(); err != nil {
		return err
	}
	r.observe, r.processID = r.Observe, process.Name
	r.collector = &collector{token: r.token, timeout: max(r.timeout, time.Second), processType: r.Type, rules: typeRules, emit: r.emit, process: process}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the agent: %w", err)
	}
	r.url = "http://" + listener.Addr().String()
	noLog := func(*http.Request, int, error) {} // the agent logs the status
	r.server = agentserver.NewServer(agentserver.New(r.collector, noLog))
	go func() { _ = r.server.Serve(listener) }() // it returns after close
	return nil
}

func (r *run) close() { _ = r.server.Close() }

// newID returns an id for a process without a cluster.
func newID() string { return "local-" + strings.ToLower(rand.Text()) }

// loop starts attempts until the process is terminal.
func (r *run) loop(ctx context.Context) (*Outcome, error) {
	outcome := &Outcome{}
	for n := int32(1); ; n++ {
		r.begin(n, r.attempts)
		r.collector.begin(n, n >= r.attempts)
		began := time.Now()
		receipt, err := r.attempt(ctx)
		if err != nil {
			return nil, err
		}
		result, retry := r.collector.end(receipt)
		if !result.StartTime.IsZero() {
			began = result.StartTime // does not include the start of the agent
		}
		outcome.Attempts = append(outcome.Attempts, Attempt{result, time.Since(began)})
		outcome.Process, outcome.Cancelled = r.collector.current(), ctx.Err() != nil
		retry = retry && !outcome.Cancelled
		r.emit(Event{Kind: Ended, Result: result, Retry: retry})
		if !retry {
			return outcome, nil
		}
		select {
		case <-ctx.Done():
			outcome.Cancelled = true
			return outcome, nil
		case <-time.After(r.Backoff):
		}
	}
}

// attempt runs one agent until it exits, and returns the result in its receipt.
func (r *run) attempt(ctx context.Context) (agentapi.Result, error) {
	dir, err := os.MkdirTemp(r.dir, "attempt-") // each attempt has files of its own, as in a pod
	if err != nil {
		return agentapi.Result{}, fmt.Errorf("create the directory of the attempt: %w", err)
	}
	var files agent.Config
	setPaths(&files, dir)
	if err := errors.Join(os.Mkdir(files.Dir, 0o700), os.WriteFile(files.TokenFile, []byte(r.token), 0o600)); err != nil {
		return agentapi.Result{}, fmt.Errorf("create the directory of the attempt: %w", err)
	}
	cmd := agentCommand(r, dir)
	if err := cmd.Start(); err != nil {
		return agentapi.Result{}, fmt.Errorf("start the agent: %w", err)
	}
	stopWatch := r.watch(files.ProgressFile())
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			_ = cmd.Process.Signal(stopSignal)
		case <-ended:
		}
	}()
	_ = cmd.Wait() // the receipt explains the exit status
	close(ended)
	stopWatch()
	return readReceipt(files.TerminationLog, cmd.ProcessState), nil
}

// readReceipt returns the result in an agent's receipt. If there is no receipt, the agent
// was killed, which counts as a crash of the worker.
func readReceipt(name string, state *os.ProcessState) agentapi.Result {
	if text, err := os.ReadFile(name); err == nil {
		if receipt, err := agentapi.DecodeReceipt(string(text)); err == nil {
			return receipt.Result
		}
	}
	result := agentapi.Failure(errorcode.WorkerFailed, map[string]any{
		"message": "the agent ended without a result: " + state.String(),
	})
	result.Retry = true
	return result
}
