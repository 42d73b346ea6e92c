// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"math"
	"time"
)

const (
	// minWindow is the smallest and the first size of the window, in processes.
	minWindow = 4
	// firstTypeLimit is how many processes of a type start at the same time before one of
	// them has started.
	firstTypeLimit = 2
	// bestPeriod is how long the shortest start of a type counts: for one to two periods.
	bestPeriod = 5 * time.Minute
	// minStall is the shortest time after which a process that has not started leaves its
	// place in the window.
	minStall = 10 * time.Second
	// stuckAfter is how long after the last start of a type its processes do not wait for
	// those that have stalled any more. From then on each has its place for stuckStall.
	stuckAfter = 30 * time.Second
	stuckStall = time.Second
)

// window is how many processes may start at the same time. It grows while starts are
// prompt, and is halved when one is not (ADR 37 has the control law). It has no clock.
type window struct {
	size    float64
	max     int       // 0 means no limit
	slow    bool      // a start was not prompt
	reduced time.Time // when the size was last halved
}

func newWindow(limit int) window {
	return window{size: float64(min(minWindow, limit)), max: limit}
}

// open reports whether another process may start while starting processes start.
func (w *window) open(starting int) bool { return w.max == 0 || starting < int(w.size) }

// started records a prompt start. full reports whether the window was in use: an idle
// window proves nothing and does not grow. The window doubles with each round of starts
// until the first start that is not prompt. After that it grows by one with each round.
func (w *window) started(full bool) {
	switch {
	case !full || w.max == 0:
		return
	case w.slow:
		w.size += 1 / w.size
	default:
		w.size++
	}
	w.size = math.Min(w.size, float64(w.max))
}

// late records a start that is not prompt, of a process that was admitted at since. The
// window is halved once for all processes that it contained at that moment: only processes
// that were admitted later show whether the smaller window is small enough.
func (w *window) late(since, now time.Time) {
	if w.max == 0 || !since.After(w.reduced) {
		return
	}
	w.slow, w.reduced = true, now
	w.size = math.Max(w.size/2, float64(min(minWindow, w.max)))
}

// pace is how fast processes of one type start.
type pace struct {
	best, before time.Duration // the shortest start in this period and in the one before; 0 for none
	period       time.Time     // when this period began
}

// observe records a start that took so long.
func (p *pace) observe(took time.Duration, now time.Time) {
	if now.Sub(p.period) >= bestPeriod {
		p.before, p.best, p.period = p.best, 0, now
	}
	if p.best == 0 || took < p.best {
		p.best = took
	}
}

// prompt returns the longest start that counts as prompt: twice the shortest one, and a
// second more, because a start of half a second must not count as late after one of 0.2 s.
// It is 0 if no start was observed.
func (p *pace) prompt() time.Duration {
	best := p.best
	if best == 0 || p.before != 0 && p.before < best {
		best = p.before
	}
	if best == 0 {
		return 0
	}
	return 2*best + time.Second
}

// stall returns how long a process can start until it leaves its place in the window.
func (p *pace) stall() time.Duration { return max(minStall, 2*p.prompt()) }
