package collector

import (
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// maxResults bounds what results under way may have together. What is made of one
// takes as much again, and more.
const maxResults = 32 << 20

// results is the room for results under way: a worker's token opens the operator's
// memory to who has it.
type results struct {
	mu    sync.Mutex
	left  int64
	under map[types.UID]struct{} // the pods that are at it
}

func newResults() *results { return &results{left: maxResults, under: map[types.UID]struct{}{}} }

// errBusy: there is no room for a result now.
var errBusy = errors.New("busy")

// enter takes room for one result of a pod, which has one at a time.
func (r *results) enter(pod types.UID, bytes int64) (leave func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.under[pod]; ok || bytes > r.left {
		return nil, errBusy
	}
	r.under[pod] = struct{}{}
	r.left -= bytes
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.under, pod)
		r.left += bytes
	}, nil
}
