// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/ledger"
	"procman.dev/procman/controllers/internal/statuspatch"
)

const (
	// positionDelay is how long a Process has to wait before its position is
	// written: one that is admitted earlier costs no write.
	positionDelay = time.Second
	// positionInterval is the minimum time between two updates of the positions,
	// and positionLimit is how many of them one update writes: on average 20 writes
	// per second at most.
	positionInterval = 5 * time.Second
	positionLimit    = 100
)

// Positions writes the positions of the Processes that wait to
// status.queuePosition. Only the terminal status writes that field too. It runs
// on the leader (ADR 13).
type Positions struct {
	Client client.Client
	Ledger *ledger.Ledger
}

// SetupWithManager adds Positions to the manager.
func (s *Positions) SetupWithManager(mgr manager.Manager) error { return mgr.Add(s) }

// Start writes positions until ctx ends. It does nothing while no position
// changes.
func (s *Positions) Start(ctx context.Context) error {
	var updated time.Time // when positions were last written
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Ledger.PositionsChanged():
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(positionDelay):
			}
		case <-again:
		}
		select {
		case <-s.Ledger.PositionsChanged(): // the write below includes this change
		default:
		}
		again = nil
		ok := s.write(ctx, s.Ledger.ObsoletePositions())
		if wait := positionInterval - time.Since(updated); wait > 0 {
			again = time.After(wait)
			continue
		}
		due, more := s.Ledger.DuePositions(positionLimit)
		ok = s.write(ctx, due) && ok
		updated = time.Now()
		if more || !ok {
			again = time.After(positionInterval)
		}
	}
}

// write writes positions. It reports whether none has to be written again.
func (s *Positions) write(ctx context.Context, updates []ledger.PositionUpdate) (ok bool) {
	ok = true
	for _, u := range updates {
		err := s.writeOne(ctx, u)
		s.Ledger.PositionWritten(u, err == nil)
		if err != nil && ctx.Err() == nil {
			logf.FromContext(ctx).Error(err, "write queue position", "process", u.Process.Name)
			ok = false
		}
	}
	return ok
}

// writeOne needs no lock: the schema refuses to change queuePosition of a Process
// that is terminal.
func (s *Positions) writeOne(ctx context.Context, u ledger.PositionUpdate) error {
	var position *int32 // null removes it
	if u.Position > 0 {
		position = &u.Position
	}
	target := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Namespace: u.Process.Namespace, Name: u.Process.Name, UID: u.UID}}
	err := statuspatch.Apply(ctx, s.Client, target, map[string]any{"queuePosition": position})
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
		return nil // deleted or terminal: it has no position any more
	}
	return err
}
