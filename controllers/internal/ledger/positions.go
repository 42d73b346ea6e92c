// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// exactPositions is for how many Processes at the front of a queue the written
// position is exact. For those behind, it differs by less than a tenth: a Process
// that begins at position 10,000 is then written about 80 times, not 10,000
// times.
const exactPositions = 20

// PositionUpdate is a queue position to write to the status of a Process.
type PositionUpdate struct {
	Process types.NamespacedName
	UID     types.UID
	// Position counts from 1. 0 removes the position: the Process does not wait.
	Position int32
}

// PositionsChanged has a value if ObsoletePositions or DuePositions may return
// something new.
func (l *Ledger) PositionsChanged() <-chan struct{} { return l.positionsChanged }

// ObsoletePositions returns the updates for Processes that do not wait any more,
// but whose status still has a position.
func (l *Ledger) ObsoletePositions() []PositionUpdate {
	l.mu.Lock()
	defer l.mu.Unlock()
	updates := make([]PositionUpdate, 0, len(l.obsolete))
	for p := range l.obsolete {
		updates = append(updates, PositionUpdate{Process: p.key, UID: p.uid})
	}
	return updates
}

// DuePositions returns at most limit updates for Processes that wait, for each
// type in the order of its queue. The type whose last turn was longest ago is the
// first one. more reports whether the limit has left some out. It returns none before
// Open.
func (l *Ledger) DuePositions(limit int) (updates []PositionUpdate, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	longestAgo := func(a, b *processType) int { return cmp.Compare(a.lastTurn, b.lastTurn) }
	for _, t := range slices.SortedFunc(maps.Values(l.types), longestAgo) {
		if !t.moved || !l.open {
			continue
		}
		if len(updates) == limit {
			return updates, true
		}
		l.turns++
		t.lastTurn, t.moved = l.turns, false
		position := int32(0)
		t.queue.Ascend(func(p *process) bool {
			position++
			if !worthWriting(position, p.position) {
				return true
			}
			if len(updates) == limit {
				t.moved = true
				return false
			}
			updates = append(updates, PositionUpdate{Process: p.key, UID: p.uid, Position: position})
			return true
		})
		more = more || t.moved
	}
	return updates, more
}

// worthWriting reports whether a Process is far enough from the position in its
// status.
func worthWriting(position, written int32) bool {
	difference := max(position-written, written-position)
	switch {
	case difference == 0:
		return false
	case written == 0 || position <= exactPositions:
		return true
	}
	return difference*10 >= written
}

// PositionWritten records that an update was written or, if ok is false, that it
// has to be written again.
func (l *Ledger) PositionWritten(u PositionUpdate, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.processes[u.Process]
	switch {
	case p == nil || p.uid != u.UID:
	case ok:
		l.setPosition(p, u.Position) // it may have been admitted in the meantime
	default:
		p.of.moved = true
	}
}

// setPosition records the position in the status of a Process. The terminal
// status removes the position, so only a Process that has a slot can have one
// that is obsolete.
func (l *Ledger) setPosition(p *process, position int32) {
	p.position = position
	if position == 0 || !p.hasSlot() {
		delete(l.obsolete, p)
		return
	}
	l.obsolete[p] = struct{}{}
	l.signal()
}

// announce reports that positions in the queue of a type have changed.
func (l *Ledger) announce(t *processType) {
	if l.open && t.moved && t.queue.Len() > 0 {
		l.signal()
	}
}

func (l *Ledger) signal() {
	select {
	case l.positionsChanged <- struct{}{}:
	default: // the last value is still there
	}
}
