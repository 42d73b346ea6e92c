// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package timing computes the pauses between the attempts of a process, and how long
// its attempts may take together. It is pure.
package timing

import (
	"cmp"
	"fmt"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// The Job controller's pause before the second attempt, and its longest pause.
const firstJobPause, longestJobPause = 10 * time.Second, 10 * time.Minute

// JobPause returns the longest pause of the Job controller after this many failed
// attempts. It doubles with each. 0 before the first attempt.
func JobPause(failed int32) time.Duration { return doubled(firstJobPause, longestJobPause, failed) }

// TypePause returns the time that a type's backoffSeconds ask for between the end of an
// attempt and the start of the next worker, after this many failed attempts. It doubles
// with each, up to agentapi.MaxPause. 0 if the type asks for none.
func TypePause(backoffSeconds, failed int32) time.Duration {
	return doubled(seconds(max(backoffSeconds, 0)), agentapi.MaxPause, failed)
}

func doubled(first, longest time.Duration, failed int32) time.Duration {
	if failed <= 0 {
		return 0
	}
	return min(min(first, longest)<<min(failed-1, 12), longest)
}

// Attempts returns how long the attempts of a type may run, and the pauses between them,
// together. ADR 34 says what is left out.
func Attempts(s *v1alpha1.ProcessTypeSpec) time.Duration {
	total := time.Duration(0)
	for failed := range s.Attempts {
		total += max(JobPause(failed), TypePause(s.BackoffSeconds, failed)) + seconds(s.TimeoutSeconds)
	}
	return total
}

// CheckLifetime returns an error if processes of a type can expire before their attempts
// are over. config/admission/lifetimes.yaml has the same rule.
func CheckLifetime(s *v1alpha1.ProcessTypeSpec) error {
	lifetime, needed := cmp.Or(s.LifetimeSeconds, v1alpha1.DefaultLifetimeSeconds), Attempts(s)
	if seconds(lifetime) >= needed {
		return nil
	}
	return fmt.Errorf("spec.lifetimeSeconds is %d, expected at least %d: timeoutSeconds (%d) for each of the attempts (%d), and the pauses between them",
		lifetime, needed/time.Second, s.TimeoutSeconds, s.Attempts)
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }
