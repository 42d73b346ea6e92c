// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package budget bounds the memory that one kind of work uses, such as request
// bodies that are being read. Each piece of work reserves bytes before it uses
// them and releases them when it is done.
package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// ErrExhausted reports that the bytes are not free now. A later request can succeed.
var ErrExhausted = errors.New("the memory budget is exhausted")

// Budget is a fixed number of bytes. It is safe for concurrent use.
type Budget struct {
	total int64
	used  atomic.Int64
	bytes *semaphore.Weighted
}

// New returns a budget of total bytes.
func New(total int64) *Budget {
	return &Budget{total: total, bytes: semaphore.NewWeighted(total)}
}

// Acquire reserves n bytes, 0 or more and at most the whole budget. It waits until
// they are free or ctx ends; requests that wait are served in order. The caller
// releases the reservation. The error is ErrExhausted together with that of ctx.
func (b *Budget) Acquire(ctx context.Context, n int64) (*Reservation, error) {
	if err := b.bytes.Acquire(ctx, n); err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w: %w", n, ErrExhausted, err)
	}
	b.used.Add(n)
	return &Reservation{budget: b, bytes: n}, nil
}

// TryAcquire is Acquire without waiting. It also returns ErrExhausted while
// other requests wait.
func (b *Budget) TryAcquire(n int64) (*Reservation, error) {
	r := &Reservation{budget: b}
	if err := r.Grow(n); err != nil {
		return nil, err
	}
	return r, nil
}

// Free returns how many bytes are not reserved at this moment.
func (b *Budget) Free() int64 { return b.total - b.used.Load() }

// Reservation is a part of a budget that somebody uses.
type Reservation struct {
	budget *Budget

	mu       sync.Mutex
	bytes    int64
	released bool
}

// Grow adds n bytes, 0 or more, without waiting. When it fails, with ErrExhausted,
// the reservation keeps what it had. A reservation that was released does not grow.
func (r *Reservation) Grow(n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.released || !r.budget.bytes.TryAcquire(n) {
		return fmt.Errorf("reserve %d more bytes: %w", n, ErrExhausted)
	}
	r.budget.used.Add(n)
	r.bytes += n
	return nil
}

// Release gives all bytes of the reservation back. Only the first call does so.
func (r *Reservation) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.released {
		return
	}
	r.released = true
	r.budget.used.Add(-r.bytes)
	r.budget.bytes.Release(r.bytes)
}
