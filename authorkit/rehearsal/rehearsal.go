// Package rehearsal runs a worker on this machine as a cluster would: under the
// agent, which fetches its input from a collector and delivers the result to
// it. The agent is the product's own, and the collector keeps the operator's
// rules; only the pod around them is missing.
package rehearsal

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
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/collector"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/agentapi/agentserver"
	"procman.dev/procman/internal/errorcode"
)

// Options say what to run and how.
type Options struct {
	Type *v1alpha1.ProcessType
	// Input is the text of one JSON object. It is not held against the type's
	// inputSchema here: see Refusal.
	Input []byte
	// Command is the worker's program and arguments.
	Command []string
	// Program is an executable that calls RunAgent when its first argument is
	// AgentCommand.
	Program string
	// Attempts is how often a worker that crashes is started; the type's when 0.
	Attempts int32
	// Timeout bounds one attempt, in whole seconds; the type's when 0.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL, in whole seconds from 1.
	Grace time.Duration
	// Backoff is the pause before another attempt.
	Backoff time.Duration
	// Stdout and Stderr get what the worker writes; nil drops it.
	Stdout, Stderr io.Writer
	// Observe is told of each change, from several goroutines but one at a
	// time; nil tells nobody.
	Observe func(Event)
}

// Outcome is what became of a process.
type Outcome struct {
	// Process is in a terminal state, unless it was cancelled.
	Process *v1alpha1.Process
	// Attempts are the results of all attempts, in order.
	Attempts []Attempt
	// Cancelled says that the context ended before the process did.
	Cancelled bool
}

// Attempt is one run of the worker, and how long it took.
type Attempt struct {
	agentapi.Result
	Duration time.Duration
}

// Last is the attempt that gave the outcome.
func (o *Outcome) Last() Attempt { return o.Attempts[len(o.Attempts)-1] }

// Run runs the process to its end. When ctx ends the worker gets SIGTERM, has
// its grace, and the outcome is Cancelled. An error means that nothing could be
// run: it says nothing about the worker.
func Run(ctx context.Context, o Options) (outcome *Outcome, err error) {
	dir, err := os.MkdirTemp("", "procman-")
	if err != nil {
		return nil, fmt.Errorf("make the directory of the process: %w", err)
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

// run is a process under way.
type run struct {
	Options
	events
	dir, token string
	attempts   int32
	timeout    time.Duration
	collector  *collector.Local
	server     *http.Server
	url        string
}

// open makes the process and serves its collector.
func (r *run) open() error {
	now := metav1.Now()
	process := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: "local-" + strings.ToLower(rand.Text()), CreationTimestamp: now.Rfc3339Copy()},
		Spec:       v1alpha1.ProcessSpec{Type: r.Type.Name, LifetimeSeconds: r.Type.Spec.LifetimeSeconds, Input: string(r.Input)},
	}
	var err error
	if r.collector, err = collector.NewLocal(r.Type, process, r.token, max(r.timeout, time.Second), clock.RealClock{}); err != nil {
		return err
	}
	r.observe, r.processID = r.Observe, process.Name
	r.collector.OnInput = func() { r.emit(Event{Kind: Started}) }
	r.collector.OnProgress = func(percent int32) { r.emit(Event{Kind: Progressed, Percent: percent}) }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the agent: %w", err)
	}
	r.url = "http://" + listener.Addr().String()
	r.server = agentserver.NewServer(r.collector.Handler())
	go func() { _ = r.server.Serve(listener) }() // ends with close
	return nil
}

func (r *run) close() { _ = r.server.Close() }

// loop makes attempts until one of them settles the process.
func (r *run) loop(ctx context.Context) (*Outcome, error) {
	outcome := &Outcome{}
	for n := int32(1); ; n++ {
		r.begin(n, r.attempts)
		r.collector.Begin(n, n >= r.attempts)
		began := time.Now()
		receipt, err := r.attempt(ctx)
		if err != nil {
			return nil, err
		}
		result, again := r.collector.End(receipt)
		if !result.StartTime.IsZero() {
			began = result.StartTime // without the start of the agent
		}
		outcome.Attempts = append(outcome.Attempts, Attempt{result, time.Since(began)})
		outcome.Process, outcome.Cancelled = r.collector.Process(), ctx.Err() != nil
		again = again && !outcome.Cancelled
		r.emit(Event{Kind: Ended, Result: result, Again: again})
		if !again {
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

// attempt runs one agent to its end and returns what it left in its receipt.
func (r *run) attempt(ctx context.Context) (agentapi.Result, error) {
	dir, err := os.MkdirTemp(r.dir, "attempt-") // each pod has its own
	if err != nil {
		return agentapi.Result{}, fmt.Errorf("make the directory of the attempt: %w", err)
	}
	files := place(dir)
	if err := errors.Join(os.Mkdir(files.process, 0o700), os.WriteFile(files.token, []byte(r.token), 0o600)); err != nil {
		return agentapi.Result{}, fmt.Errorf("make the directory of the attempt: %w", err)
	}
	cmd := agentCommand(r, dir)
	if err := cmd.Start(); err != nil {
		return agentapi.Result{}, fmt.Errorf("start the agent: %w", err)
	}
	watched := r.watch(filepath.Join(files.process, progressFile))
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			_ = cmd.Process.Signal(stopSignal)
		case <-ended:
		}
	}()
	_ = cmd.Wait() // what it means is in the receipt
	close(ended)
	watched()
	return receipt(files.log, cmd.ProcessState), nil
}

// receipt reads what the agent left. An agent that left none has been killed.
func receipt(name string, state *os.ProcessState) agentapi.Result {
	text, err := os.ReadFile(name)
	if err == nil {
		if left, err := agentapi.DecodeReceipt(string(text)); err == nil {
			return left.Result
		}
	}
	lost := agentapi.Failure(errorcode.WorkerFailed, map[string]any{
		"message": "the agent ended without a result: " + state.String(),
	})
	lost.Retry = true
	return lost
}
