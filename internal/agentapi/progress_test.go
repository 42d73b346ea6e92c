// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		percent int32
		after   time.Duration
		want    bool
	}{
		"soon":                   {90, ProgressInterval - 1, false},
		"by 5 points":            {45, ProgressInterval, true},
		"back by 5 points":       {35, ProgressInterval, true},
		"by 4 points":            {44, time.Hour, false},
		"the same":               {40, time.Hour, false},
		"when a clock was reset": {90, -time.Hour, false},
	} {
		if got := Reported(Progress{40}, start).Due(Progress{test.percent}, start.Add(test.after)); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
	if !(Pace{}).Due(Progress{0}, start) {
		t.Error("the first report is not due")
	}
}
