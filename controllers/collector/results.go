package collector

import (
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/internal/budget"
)

// maxResults bounds the bytes of all results that are being received. Decoding
// one takes its size again, and more.
const maxResults = 32 << 20

// results bounds the memory for results that are being received: anyone with a
// worker's token can send one.
type results struct {
	memory *budget.Budget
	pods   sync.Map // of types.UID: the pods whose results are being received
}

func newResults() *results { return &results{memory: budget.New(maxResults)} }

// errBusy reports that a result cannot be received now.
var errBusy = errors.New("busy")

// enter reserves memory for one result of a pod. A pod sends one at a time. The
// caller calls leave once.
func (r *results) enter(pod types.UID, bytes int64) (leave func(), err error) {
	if _, busy := r.pods.LoadOrStore(pod, nil); busy {
		return nil, fmt.Errorf("%w: a result of the pod is being received", errBusy)
	}
	reservation, err := r.memory.TryAcquire(bytes)
	if err != nil {
		r.pods.Delete(pod)
		return nil, fmt.Errorf("%w: %w", errBusy, err)
	}
	return func() {
		reservation.Release()
		r.pods.Delete(pod)
	}, nil
}
