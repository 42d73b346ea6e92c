package process

import (
	"sync"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// absence remembers since when types are not there that have been. Its zero value
// is ready to use. There are as few entries as there were types.
type absence struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func (a *absence) went(typeName string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since == nil {
		a.since = map[string]time.Time{}
	}
	a.since[typeName] = now
}

func (a *absence) came(typeName string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.since, typeName)
}

// absentSince is since when a Process has been without its type: since that went,
// or since its own creation.
func (a *absence) absentSince(p *v1alpha1.Process) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if went := a.since[p.Spec.Type]; went.After(p.CreationTimestamp.Time) {
		return went
	}
	return p.CreationTimestamp.Time
}
