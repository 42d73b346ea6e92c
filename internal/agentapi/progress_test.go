// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"testing"
	"time"
)

func TestProgressDue(t *testing.T) {
	for name, test := range map[string]struct {
		percent int32
		last    *int32
		elapsed time.Duration
		want    bool
	}{
		"the first":                   {0, nil, time.Hour, true},
		"the first of this attempt":   {0, new(int32(80)), time.Hour, true},
		"the first, sent again":       {0, nil, time.Second, false},
		"the same":                    {40, new(int32(40)), time.Hour, false},
		"five points after five":      {45, new(int32(40)), 5 * time.Second, true},
		"five points less":            {35, new(int32(40)), 5 * time.Second, true},
		"five points, too soon":       {45, new(int32(40)), 5*time.Second - 1, false},
		"100, too soon":               {100, new(int32(40)), 5*time.Second - 1, false},
		"four points":                 {44, new(int32(40)), time.Minute - 1, false},
		"four points less":            {36, new(int32(40)), time.Minute - 1, false},
		"one point after a minute":    {41, new(int32(40)), time.Minute, true},
		"the last point":              {100, new(int32(99)), 5 * time.Second, true},
		"one point less than the end": {99, new(int32(100)), 5 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (Progress{PercentComplete: test.percent}).Due(test.last, test.elapsed); got != test.want {
				t.Errorf("due: %t, want %t", got, test.want)
			}
		})
	}
}
