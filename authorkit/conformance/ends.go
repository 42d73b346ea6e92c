package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"procman.dev/procman/authorkit/rehearsal"
)

// longestHead is the most that a worker gets to run before it is told to stop.
const longestHead = 500 * time.Millisecond

// stops sends SIGTERM to the worker in the middle of its work.
func (e *examination) stops(ctx context.Context, inputs []Input) error {
	f := Finding{Check: "sigterm"}
	input := e.longest
	if input == nil && len(inputs) > 0 {
		input = &inputs[0] // which does not complete, and may run long
	}
	if input == nil {
		f.Status, f.Reason = Skip, "there is no input to run it on"
		e.found(f)
		return nil
	}
	f.Input = input.Name
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := stopper{head: min(longestHead, e.took/2), stop: cancel}
	if e.longest == nil {
		s.head = longestHead
	}
	o := e.options(*input)
	o.Attempts, o.Observe = 1, s.observe
	got, err := rehearsal.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	took, sent := s.took()
	switch {
	case !sent:
		f.Status, f.Reason = Skip, "it ended before it could be told to stop: try an --input that takes longer"
	case took >= e.Grace:
		f.Status, f.Reason = Fail, fmt.Sprintf("still running %s after SIGTERM, and killed: a worker that is cancelled has to end by itself", e.Grace)
	default:
		f.Status, f.Reason = Pass, fmt.Sprintf("ended %s after SIGTERM", duration(took))
	}
	if sent && f.Status == Pass && !got.Last().Interrupted {
		f.Reason += ", with a result"
	}
	e.found(f)
	return nil
}

// stopper ends a run a while after the worker has started.
type stopper struct {
	head time.Duration
	stop func()

	mu          sync.Mutex
	sent, ended time.Time
}

func (s *stopper) observe(event rehearsal.Event) {
	switch event.Kind {
	case rehearsal.Started:
		go s.send(event.ProcessID)
	case rehearsal.Ended:
		s.mu.Lock()
		s.ended = time.Now()
		s.mu.Unlock()
	default:
	}
}

// send waits for the worker to run, and for its head start.
func (s *stopper) send(processID string) {
	over := func() bool { return !s.ended.IsZero() }
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for len(rehearsal.Running(processID)) == 0 {
		<-tick.C
		s.mu.Lock()
		done := over()
		s.mu.Unlock()
		if done {
			return
		}
	}
	<-time.After(s.head)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !over() && len(rehearsal.Running(processID)) > 0 {
		s.sent = time.Now()
		s.stop()
	}
}

// took is how long the worker went on after SIGTERM, and whether it was sent.
func (s *stopper) took() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended.Sub(s.sent), !s.sent.IsZero()
}

// leavesNothing looks at what is still running when the worker has ended.
func (e *examination) leavesNothing(ctx context.Context, _ []Input) error {
	f := Finding{Check: "children", Status: Pass, Reason: "it leaves no processes behind"}
	if e.longest == nil {
		f.Status, f.Reason = Skip, "there is no input that completes"
		e.found(f)
		return nil
	}
	f.Input = e.longest.Name
	names, err := rehearsal.LeftBehind(ctx, e.options(*e.longest))
	if err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	if len(names) > 0 {
		slices.Sort(names)
		f.Status, f.Reason = Warn, "it leaves processes behind, which the agent kills: "+strings.Join(names, ", ")
	}
	e.found(f)
	return nil
}
