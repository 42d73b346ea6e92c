// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package budget_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"procman.dev/procman/internal/budget"
)

func acquire(t *testing.T, b *budget.Budget, n int64) *budget.Reservation {
	t.Helper()
	r, err := b.TryAcquire(n)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantFree(t *testing.T, b *budget.Budget, want int64) {
	t.Helper()
	if got := b.Free(); got != want {
		t.Errorf("Free() = %d, want %d", got, want)
	}
}

func TestTryAcquire(t *testing.T) {
	b := budget.New(10)
	r := acquire(t, b, 6)
	if _, err := b.TryAcquire(5); !errors.Is(err, budget.ErrExhausted) {
		t.Errorf("TryAcquire(5) with 4 bytes free: %v, want ErrExhausted", err)
	}
	if _, err := b.TryAcquire(11); !errors.Is(err, budget.ErrExhausted) {
		t.Errorf("TryAcquire(11) of 10 bytes: %v, want ErrExhausted", err)
	}
	acquire(t, b, 4)
	acquire(t, b, 0)
	wantFree(t, b, 0)
	r.Release()
	r.Release()
	wantFree(t, b, 6)
	acquire(t, b, 6)
}

func TestGrow(t *testing.T) {
	b := budget.New(10)
	r := acquire(t, b, 4)
	if err := r.Grow(4); err != nil {
		t.Fatal(err)
	}
	if err := r.Grow(3); !errors.Is(err, budget.ErrExhausted) {
		t.Errorf("Grow beyond the budget: %v, want ErrExhausted", err)
	}
	other := acquire(t, b, 1)
	if err := r.Grow(2); !errors.Is(err, budget.ErrExhausted) {
		t.Errorf("Grow(2) with 1 byte free: %v, want ErrExhausted", err)
	}
	wantFree(t, b, 1) // a failed Grow takes nothing
	other.Release()
	r.Release()
	wantFree(t, b, 10)
	if err := r.Grow(1); !errors.Is(err, budget.ErrExhausted) {
		t.Errorf("Grow after Release: %v, want ErrExhausted", err)
	}
	wantFree(t, b, 10)
}

func TestAcquireWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(10)
		r := acquire(t, b, 8)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := b.Acquire(ctx, 3); !errors.Is(err, budget.ErrExhausted) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("Acquire(3) with 2 bytes free: %v after %s, want ErrExhausted after a minute", err, time.Since(began))
		}
		wantFree(t, b, 2)

		time.AfterFunc(time.Second, r.Release)
		began = time.Now()
		if _, err := b.Acquire(t.Context(), 10); err != nil || time.Since(began) != time.Second {
			t.Errorf("Acquire(10): %v after %s, want none after a second", err, time.Since(began))
		}
		wantFree(t, b, 0)
	})
}
