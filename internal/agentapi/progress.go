// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"fmt"
	"time"
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

// Each report of progress is a write to etcd. An attempt may report after
// ProgressInterval again, if the progress has changed by ProgressStep or more.
const (
	ProgressInterval = 5 * time.Second
	ProgressStep     = 5
)

// Pace is the last report of an attempt; the zero Pace means that there was none.
type Pace struct {
	at      time.Time
	percent int32
}

// Reported returns the Pace after a report.
func Reported(p Progress, at time.Time) Pace { return Pace{at, p.PercentComplete} }

// Due reports whether an attempt may report this progress now.
func (p Pace) Due(next Progress, now time.Time) bool {
	change := max(next.PercentComplete-p.percent, p.percent-next.PercentComplete)
	return p.at.IsZero() || (now.Sub(p.at) >= ProgressInterval && change >= ProgressStep)
}
