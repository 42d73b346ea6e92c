// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"fmt"
	"time"
)

// Bounds of the reports of progress of one attempt, each of which costs a write to the
// Kubernetes API.
const (
	// ProgressInterval is the shortest time between two reports.
	ProgressInterval = 5 * time.Second
	// ProgressStep is how many points a report differs from the one before it.
	ProgressStep = 5
	// SmallStepInterval is the time after which a report may differ by less.
	SmallStepInterval = time.Minute
)

// Progress is how much of its work a worker has done, by its own report.
type Progress struct {
	// PercentComplete is between 0 and 100.
	PercentComplete int32 `json:"percentComplete"`
}

// Check returns an error when the percentage is out of its range.
func (p Progress) Check() error {
	if p.PercentComplete < 0 || p.PercentComplete > 100 {
		return fmt.Errorf("percentComplete is %d, expected 0 to 100", p.PercentComplete)
	}
	return nil
}

// Due reports whether p is due: then the agent reports it, and the collector accepts it.
// last is the progress that was accepted before; nil if none was. elapsed is the time
// since the attempt's last report; any long time if there was none.
//
// 100 is due after a smaller step, too. The result has the last progress in any case.
func (p Progress) Due(last *int32, elapsed time.Duration) bool {
	switch {
	case p.Equals(last) || elapsed < ProgressInterval:
		return false
	case last == nil:
		return true
	}
	step := max(p.PercentComplete-*last, *last-p.PercentComplete)
	return step >= ProgressStep || p.PercentComplete == 100 || elapsed >= SmallStepInterval
}

// Equals reports whether p is the progress that was accepted before; nil if none was.
func (p Progress) Equals(last *int32) bool { return last != nil && *last == p.PercentComplete }
