// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"errors"
	"fmt"
	"time"
)

// The reasons why a request cannot have what it asked for. Every other error of
// this package is a fault of the server.
var (
	// ErrNotFound: there is no such process of this type, or it was deleted.
	ErrNotFound = errors.New("there is no such process")
	// ErrExpired: the process existed and has expired.
	ErrExpired = errors.New("the process has expired")
	// ErrKeyReused: the idempotency key belongs to another input, or to a process
	// that its client deleted.
	ErrKeyReused = errors.New("the idempotency key belongs to another input or to a deleted process")
)

// BusyError reports that the request can succeed later.
type BusyError struct {
	// RetryAfter is how long to wait before the next attempt, 1 s or more.
	RetryAfter time.Duration
	// Message says what is full, for the client; "" if something else is the cause.
	Message string
	// Err is the cause.
	Err error
}

func (e *BusyError) Error() string { return fmt.Sprintf("busy: %v", e.Err) }
func (e *BusyError) Unwrap() error { return e.Err }

// StoreError is an error of the object store. The request can succeed later, unless Err is
// store.ErrNotFound or store.ErrDamaged.
type StoreError struct{ Err error }

func (e *StoreError) Error() string { return e.Err.Error() }
func (e *StoreError) Unwrap() error { return e.Err }

// refusedError reports that a create was refused and that no call of it can have
// succeeded, so that its idempotency key can be released.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// errUnverifiable: the ring may lack a key that another replica signs with.
var errUnverifiable = errors.New("an id cannot be verified, because the id keys could not be refreshed")
