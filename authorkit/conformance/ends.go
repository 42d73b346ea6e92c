// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"procman.dev/procman/authorkit/localrun"
)

// maxRunTime is the longest time that the worker runs before it gets SIGTERM.
const maxRunTime = 500 * time.Millisecond

// checkSIGTERM sends SIGTERM to the worker while it runs. The worker must end within the
// grace.
func (c *checker) checkSIGTERM(ctx context.Context, inputs []Input) error {
	f := Finding{Check: "sigterm"}
	input := c.longest
	if input == nil && len(inputs) > 0 {
		input = &inputs[0] // the worker does not complete it, but may run long enough
	}
	if input == nil {
		f.Status, f.Reason = Skip, "no input to run the worker with"
		c.add(f)
		return nil
	}
	f.Input = input.Name
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := stopper{runTime: min(maxRunTime, c.longestDuration/2), stop: cancel}
	if c.longest == nil {
		s.runTime = maxRunTime
	}
	o := c.options(*input)
	o.Attempts, o.Observe = 1, s.observe
	got, err := localrun.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	took, sent := s.took()
	switch {
	case !sent:
		f.Status, f.Reason = Skip, "the worker ended before SIGTERM could be sent: add an --input that takes longer"
	case took >= c.Grace:
		f.Status, f.Reason = Fail, fmt.Sprintf("the worker was still running %s after SIGTERM and was killed: it must end on SIGTERM", c.Grace)
	default:
		f.Status, f.Reason = Pass, fmt.Sprintf("the worker ended %s after SIGTERM", duration(took))
	}
	if sent && f.Status == Pass && !got.Last().Interrupted {
		f.Reason += " and delivered a result"
	}
	c.add(f)
	return nil
}

// stopper cancels a run when the worker has been running for runTime.
type stopper struct {
	runTime time.Duration
	stop    func()

	mu sync.Mutex
	// stopped and ended are the times of SIGTERM and of the worker's end. Zero means
	// not yet.
	stopped, ended time.Time
}

func (s *stopper) observe(event localrun.Event) {
	switch event.Kind {
	case localrun.Started:
		go s.wait(event.ProcessID)
	case localrun.Ended:
		s.mu.Lock()
		s.ended = time.Now()
		s.mu.Unlock()
	default:
	}
}

// wait waits until the worker runs, then for runTime, and cancels the run. It does
// nothing if the worker has ended before.
func (s *stopper) wait(processID string) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for len(localrun.Running(processID)) == 0 {
		<-tick.C
		s.mu.Lock()
		ended := !s.ended.IsZero()
		s.mu.Unlock()
		if ended {
			return
		}
	}
	<-time.After(s.runTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.IsZero() && len(localrun.Running(processID)) > 0 {
		s.stopped = time.Now()
		s.stop()
	}
}

// took returns how long the worker ran after SIGTERM, and whether SIGTERM was sent.
func (s *stopper) took() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended.Sub(s.stopped), !s.stopped.IsZero()
}

// checkChildren looks for processes that are still running after the worker has
// ended.
func (c *checker) checkChildren(ctx context.Context, _ []Input) error {
	f := Finding{Check: "children", Status: Pass, Reason: "no process is left running after the worker has ended"}
	if c.longest == nil {
		f.Status, f.Reason = Skip, "no input completes"
		c.add(f)
		return nil
	}
	f.Input = c.longest.Name
	names, err := localrun.LeftBehind(ctx, c.options(*c.longest))
	if err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	if len(names) > 0 {
		slices.Sort(names)
		f.Status, f.Reason = Warn, "processes are left running after the worker has ended; the agent kills them: "+strings.Join(names, ", ")
	}
	c.add(f)
	return nil
}
