package collector

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/agentapi/agentserver"
	"procman.dev/procman/internal/rules"
)

// Local is the agentserver.Collector of one process on a machine without a cluster. It
// checks what the agent delivers by the same rules as the operator; the process is kept
// in memory.
type Local struct {
	token   string
	rules   *rules.Rules
	timeout time.Duration
	clock   clock.PassiveClock

	// OnInput and OnProgress are called for each fetched input and each report of
	// progress. Set them before the collector is served; nil calls nothing.
	OnInput    func()
	OnProgress func(percent int32)

	mu      sync.Mutex
	process *v1alpha1.Process
	attempt int32
	last    bool
	// delivered is the result of the attempt; nil before there is one.
	delivered *agentapi.Result
}

// NewLocal returns the collector of process p, of type t, for agents with this token.
// timeout bounds each attempt. The error reports that the type's outputSchema is not
// valid.
func NewLocal(t *v1alpha1.ProcessType, p *v1alpha1.Process, token string, timeout time.Duration, c clock.PassiveClock) (*Local, error) {
	l := &Local{token: token, rules: rules.New(t), timeout: timeout, clock: c, process: p.DeepCopy()}
	if err := l.rules.OutputSchemaError(); err != nil {
		return nil, err
	}
	return l, nil
}

// Handler returns the HTTP handler of the collector.
func (l *Local) Handler() *agentserver.Handler {
	return agentserver.New(l, func(*http.Request, int, error) {}) // the agent logs the status
}

// Begin starts attempt number n, from 1. last: no other one follows.
func (l *Local) Begin(n int32, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempt, l.last, l.delivered = n, last, nil
}

// End returns the attempt's result and whether another attempt is due. receipt counts
// when the agent delivered nothing.
func (l *Local) End(receipt agentapi.Result) (result agentapi.Result, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delivered == nil {
		l.take(receipt)
	}
	return *l.delivered, !l.process.Finished()
}

// Process returns a copy of the process as it is now.
func (l *Local) Process() *v1alpha1.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.process.DeepCopy()
}

// Attempt accepts the one agent that has the token.
func (l *Local) Attempt(_ context.Context, token string) (agentserver.Attempt, error) {
	if subtle.ConstantTimeCompare([]byte(token), []byte(l.token)) != 1 {
		return nil, agentapi.ErrUnauthenticated
	}
	return l, nil
}

// ID is the same for all attempts: they do not run at the same time.
func (l *Local) ID() string { return "" }

// Input returns the process's input.
func (l *Local) Input(context.Context) (agentapi.Input, error) {
	l.mu.Lock()
	in := agentapi.Input{
		ProcessID: l.process.Name, ProcessType: l.process.Spec.Type, Attempt: l.attempt, Timeout: l.timeout, Text: l.process.Spec.Input,
	}
	l.mu.Unlock()
	if l.OnInput != nil {
		l.OnInput()
	}
	return in, nil
}

// Result accepts one result for each attempt.
func (l *Local) Result(_ context.Context, r agentapi.Result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delivered != nil {
		return fmt.Errorf("%w: the attempt has a result", agentapi.ErrOver)
	}
	l.take(r)
	return nil
}

// take makes r the result of the attempt, and of the process unless a later attempt may
// have a better one.
func (l *Local) take(r agentapi.Result) {
	if v, ok := errors.AsType[*rules.Violation](l.checkOutput(r)); ok {
		r = r.Failed(v.Code, v.Details)
	}
	r.Attempt = l.attempt
	l.delivered = &r
	if r.Retry && (r.Interrupted || !l.last) {
		return
	}
	l.process.Status = terminal.Status(l.process, r, "", l.clock.Now())
}

func (l *Local) checkOutput(r agentapi.Result) error {
	if !r.Complete() {
		return nil
	}
	return l.rules.CheckOutput([]byte(r.Output))
}

// Progress keeps the percentage.
func (l *Local) Progress(_ context.Context, p agentapi.Progress) error {
	l.mu.Lock()
	l.process.Status.PercentComplete = new(p.PercentComplete)
	l.mu.Unlock()
	if l.OnProgress != nil {
		l.OnProgress(p.PercentComplete)
	}
	return nil
}
