// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"math"
	"testing"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

func TestTypePause(t *testing.T) {
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
		if got := TypePause(test.backoff, test.failed); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestJobPause(t *testing.T) {
	for failed, want := range map[int32]time.Duration{
		0: 0, 1: 10 * time.Second, 2: 20 * time.Second, 6: 320 * time.Second, 7: 10 * time.Minute, math.MaxInt32: 10 * time.Minute,
	} {
		if got := JobPause(failed); got != want {
			t.Errorf("after %d failed attempts: %s, want %s", failed, got, want)
		}
	}
}

func TestCheckLifetime(t *testing.T) {
	// The defaults of the CRD.
	defaults := v1alpha1.ProcessTypeSpec{LifetimeSeconds: 1200, TimeoutSeconds: 300, Attempts: 3}
	for name, test := range map[string]struct {
		change func(*v1alpha1.ProcessTypeSpec)
		want   string // "" if the lifetime is long enough
	}{
		"the defaults":       {func(*v1alpha1.ProcessTypeSpec) {}, ""},
		"no lifetime":        {func(s *v1alpha1.ProcessTypeSpec) { s.LifetimeSeconds = 0 }, ""},
		"just long enough":   {func(s *v1alpha1.ProcessTypeSpec) { s.LifetimeSeconds = 3*300 + 10 + 20 }, ""},
		"a second too short": {func(s *v1alpha1.ProcessTypeSpec) { s.LifetimeSeconds = 3*300 + 10 + 20 - 1 }, "spec.lifetimeSeconds is 929, expected at least 930: timeoutSeconds (300) for each of the attempts (3), and the pauses between them"},
		"a long pause":       {func(s *v1alpha1.ProcessTypeSpec) { s.BackoffSeconds = 101 }, "spec.lifetimeSeconds is 1200, expected at least 1203: timeoutSeconds (300) for each of the attempts (3), and the pauses between them"},
		"a pause of 5 s":     {func(s *v1alpha1.ProcessTypeSpec) { s.BackoffSeconds = 5 }, ""},
		"two hours":          {func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.TimeoutSeconds = 1, 7200 }, "spec.lifetimeSeconds is 1200, expected at least 7200: timeoutSeconds (7200) for each of the attempts (1), and the pauses between them"},
		"as long as possible": {func(s *v1alpha1.ProcessTypeSpec) {
			s.Attempts, s.TimeoutSeconds, s.BackoffSeconds, s.LifetimeSeconds = 10, 86400, 3600, 2592000
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			spec := defaults
			test.change(&spec)
			got := ""
			if err := CheckLifetime(&spec); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
