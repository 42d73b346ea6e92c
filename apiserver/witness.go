package apiserver

import (
	"sync"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// witnessed bounds how many finished processes a witness remembers.
const witnessed = 4096

// witness keeps a client from seeing a finished process unfinished again: a live
// read can be ahead of the informer, which then still says processing.
type witness struct {
	mu   sync.Mutex
	seen map[string]*v1alpha1.Process
}

// remember keeps what a live read said, if it was final, until the informer says
// so too or the process expires.
func (w *witness) remember(p *v1alpha1.Process, now time.Time) {
	if !p.Finished() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) >= witnessed {
		w.drop(now)
	}
	if w.seen == nil {
		w.seen = map[string]*v1alpha1.Process{}
	}
	w.seen[p.Name] = p
}

// drop makes room: of what has expired, or else of anything. The informer is
// milliseconds behind, so what is old is no longer needed.
func (w *witness) drop(now time.Time) {
	for name, p := range w.seen {
		if p.Expired(now) {
			delete(w.seen, name)
		}
	}
	for name := range w.seen {
		if len(w.seen) < witnessed {
			return
		}
		delete(w.seen, name)
	}
}

// latest returns the newest known form of a process that the informer knows.
func (w *witness) latest(p *v1alpha1.Process) *v1alpha1.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen[p.Name]
	switch {
	case seen == nil:
		return p
	case p.Finished() || seen.UID != p.UID:
		delete(w.seen, p.Name)
		return p
	default:
		return seen
	}
}
