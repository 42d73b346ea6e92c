// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"math"
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	for name, test := range map[string]struct {
		backoff, failed int32
		want            time.Duration
	}{
		"none asked for":            {0, 3, 0},
		"the first attempt":         {20, 0, 0},
		"the second":                {20, 1, 20 * time.Second},
		"the fourth":                {20, 3, 80 * time.Second},
		"the tenth, an hour":        {20, 9, time.Hour},
		"an hour from the first on": {3600, 1, time.Hour},
		"as long as can be":         {math.MaxInt32, math.MaxInt32, time.Hour},
		"the slowest to grow":       {1, math.MaxInt32, time.Hour},
	} {
		if got := Pause(test.backoff, test.failed); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
