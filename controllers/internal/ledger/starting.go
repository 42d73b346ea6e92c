// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// This file is about the places in the window: which processes have one, and when they
// leave it.

// mayStart reports whether the type's own limit allows another start. A type that is stuck
// launches its processes one by one, so that each of them ends with the error that it has,
// and not when it expires.
func (t *processType) mayStart() bool {
	if t.stuck {
		return t.starting == 0
	}
	return t.starting+t.stalled < t.limit
}

// stall returns how long a process of the type can start until it leaves its place in the
// window.
func (t *processType) stall() time.Duration {
	if t.stuck {
		return stuckStall
	}
	return t.pace.stall()
}

// Tick records that time has passed. Call it about once a second: a Process that has not
// started for long leaves its place in the window. It returns the Processes that were
// admitted because of it.
func (l *Ledger) Tick() []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	for p := range l.starting {
		t := p.processType
		if l.window.max == 0 || now.Sub(p.since) < t.stall() {
			continue
		}
		// A type that never started anything says nothing about the cluster.
		if t.pace.prompt() > 0 && t.limit > 1 {
			l.window.late(p.since, now)
		}
		l.leaveWindow(p)
		p.stalled = true
		t.stalled++
		t.limit = 1
	}
	for _, t := range l.turns {
		t.stuck = t.stuck || t.stalled > 0 && now.Sub(t.progress) >= stuckAfter
	}
	return l.admit()
}

// started records that the first attempt of a Process has started. inTime is false if that
// was noticed too late to know how long the start took.
func (l *Ledger) started(p *process, inTime bool) {
	if p.started {
		return
	}
	p.started = true
	t, now := p.processType, l.clock.Now()
	t.progress, t.stuck = now, false
	_, starting := l.starting[p]
	if !starting && !p.stalled {
		return // it was not admitted by this ledger
	}
	t.limit = min(t.limit+1, max(int(l.window.size), firstTypeLimit))
	if took := now.Sub(p.since); starting && p.measured && inTime {
		t.pace.observe(took, now)
		if took <= t.pace.prompt() {
			l.window.started(len(l.starting)+1 >= int(l.window.size))
		} else {
			l.window.late(p.since, now)
		}
	}
	l.leaveWindow(p)
}

// leaveWindow takes the place of a Process in the window, if it has one.
func (l *Ledger) leaveWindow(p *process) {
	if _, ok := l.starting[p]; ok {
		delete(l.starting, p)
		p.processType.starting--
	}
	if p.stalled {
		p.stalled = false
		p.processType.stalled--
	}
}
