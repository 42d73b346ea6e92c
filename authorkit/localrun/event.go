// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"bytes"
	"os"
	"sync"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// Kind is the kind of an event.
type Kind int

// The kinds of events.
const (
	// Started: the agent has fetched the input and starts the worker next.
	Started Kind = iota
	// Progressed: the agent has reported the progress in Percent.
	Progressed
	// Wrote: the worker has written Text to its progress file.
	Wrote
	// Ended: the attempt has ended with Result. Retry reports whether another attempt
	// follows.
	Ended
)

// Event is one change of a running process.
type Event struct {
	Kind      Kind
	ProcessID string
	// Attempt is the number of the attempt, from 1. Attempts is how many there can be.
	Attempt, Attempts int32
	Percent           int32
	Text              string
	Result            agentapi.Result
	Retry             bool
}

// events calls observe with one event at a time, and sets the process and the
// attempt of each event.
type events struct {
	mu                sync.Mutex
	observe           func(Event)
	processID         string
	attempt, attempts int32
}

func (s *events) begin(attempt, attempts int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempt, s.attempts = attempt, attempts
}

func (s *events) emit(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observe != nil {
		e.ProcessID, e.Attempt, e.Attempts = s.processID, s.attempt, s.attempts
		s.observe(e)
	}
}

// pollInterval is the time between two reads of the worker's progress file. It is shorter
// than the agent's interval, to find also wrong values that clients would not see.
const pollInterval = 10 * time.Millisecond

// maxProgressBytes is how much of the progress file is read.
const maxProgressBytes = 64

// watch emits Wrote for each new content of the worker's progress file. stop reads the
// file a last time and ends the watch.
func (s *events) watch(name string) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		var last string
		for running := true; running; {
			select {
			case <-quit:
				running = false
			case <-tick.C:
			}
			if text, ok := content(name); ok && text != last {
				last = text
				s.emit(Event{Kind: Wrote, Text: text})
			}
		}
	}()
	return func() { close(quit); <-done }
}

// content returns the first bytes of a file, without white space around them. It
// returns false for a file that does not exist or is empty: the worker may not have
// written it yet.
func content(name string) (string, bool) {
	f, err := os.Open(name)
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }()
	buffer := make([]byte, maxProgressBytes)
	n, _ := f.Read(buffer)
	text := string(bytes.TrimSpace(buffer[:n]))
	return text, text != ""
}
