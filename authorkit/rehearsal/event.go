package rehearsal

import (
	"bytes"
	"os"
	"sync"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// Kind is what an event is about.
type Kind int

// The kinds of events.
const (
	// Started: the agent has fetched the input, the worker is about to run.
	Started Kind = iota
	// Progressed: the agent has reported a percentage, as clients see it.
	Progressed
	// Wrote: the worker has changed its progress file to Text.
	Wrote
	// Ended: the attempt came to Result; Again says that another one follows.
	Ended
)

// Event is one change of a process under way.
type Event struct {
	Kind      Kind
	ProcessID string
	// Attempt is which attempt of how many it is about, from 1.
	Attempt, Attempts int32
	Percent           int32
	Text              string
	Result            agentapi.Result
	Again             bool
}

// events passes events on one at a time, with their attempt filled in.
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

// watchInterval is how often the worker's progress file is looked at: more often
// than the agent does, to see what clients would not.
const watchInterval = 10 * time.Millisecond

// maxProgressBytes is how much of the progress file is read.
const maxProgressBytes = 64

// watch emits Wrote for every new content of the worker's progress file, until
// the function it returns is called, and for what is there then.
func (s *events) watch(name string) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(watchInterval)
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

// content is the file's beginning without the white space around it. An empty
// file is none: the worker is about to write it.
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
