// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/agentapi/agentserver"
	"procman.dev/procman/internal/processstatus"
	"procman.dev/procman/internal/rules"
)

// collector is the collector of one process without a cluster. It applies the same
// rules as the operator's, and keeps the process in memory.
type collector struct {
	// token is the token of the agent.
	token string
	// timeout is how long the worker may run in one attempt.
	timeout     time.Duration
	processType *v1alpha1.ProcessType
	rules       *rules.Rules
	// emit is called with Started and Progressed events.
	emit func(Event)

	mu      sync.Mutex
	process *v1alpha1.Process
	attempt int32
	last    bool
	// reported is when the last progress report of the attempt was accepted.
	reported time.Time
	// result is the result of the attempt; nil if there is none yet.
	result *agentapi.Result
}

// begin starts attempt number n, from 1. last is true if no other attempt follows.
func (c *collector) begin(n int32, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempt, c.last, c.result, c.reported = n, last, nil, time.Time{}
}

// end ends the attempt. It returns the result of the attempt, and whether another attempt
// must follow. receipt is the result in the agent's receipt. It is used if the agent did
// not deliver a result.
func (c *collector) end(receipt agentapi.Result) (result agentapi.Result, retry bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.result == nil {
		c.commit(receipt)
	}
	return *c.result, !c.process.Finished()
}

// current returns a copy of the process.
func (c *collector) current() *v1alpha1.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.process.DeepCopy()
}

// Attempt returns the current attempt, or agentapi.ErrUnauthenticated if the token is wrong.
func (c *collector) Attempt(_ context.Context, token string) (agentserver.Attempt, error) {
	if subtle.ConstantTimeCompare([]byte(token), []byte(c.token)) != 1 {
		return nil, agentapi.ErrUnauthenticated
	}
	return c, nil
}

// ID is the same for all attempts, because only one runs at a time.
func (c *collector) ID() string { return "" }

// Input returns the input of the process.
func (c *collector) Input(context.Context) (agentapi.Input, error) {
	c.mu.Lock()
	in := agentapi.Input{
		ProcessID: c.process.Name, ProcessType: c.process.Spec.Type, Attempt: c.attempt, Timeout: c.timeout,
	}.WithText(c.process.Spec.Input)
	c.mu.Unlock()
	c.emit(Event{Kind: Started})
	return in, nil
}

// Result accepts one result for each attempt. The error for any other is agentapi.ErrOver.
func (c *collector) Result(_ context.Context, r agentapi.Result) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.result != nil {
		return fmt.Errorf("%w: the attempt already has a result", agentapi.ErrOver)
	}
	c.commit(r)
	return nil
}

// commit makes r the result of the attempt, and of the process unless another attempt
// must follow.
func (c *collector) commit(r agentapi.Result) {
	if r.Complete() {
		if v, ok := errors.AsType[*rules.Violation](c.rules.CheckOutput([]byte(r.Output))); ok {
			r = r.Failed(v.Code, v.Details)
		}
	}
	r.Attempt = c.attempt
	c.result = &r
	if r.Final(c.last) {
		c.process.Status = processstatus.Terminal(c.process, c.processType, r, "", time.Now())
	}
}

// Progress stores the progress in the status of the process if a report is due, and
// returns agentapi.ErrTooSoon otherwise.
func (c *collector) Progress(_ context.Context, p agentapi.Progress) error {
	c.mu.Lock()
	last := c.process.Status.PercentComplete
	due := p.Due(last, time.Since(c.reported))
	if due {
		c.process.Status.PercentComplete, c.reported = new(p.PercentComplete), time.Now()
	}
	c.mu.Unlock()
	switch {
	case p.Equals(last):
		return nil
	case !due:
		return agentapi.ErrTooSoon
	}
	c.emit(Event{Kind: Progressed, Percent: p.PercentComplete})
	return nil
}
