// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFailedKeepsTheAttempt(t *testing.T) {
	r := Result{Attempt: 2, StartTime: time.Unix(1e9, 0), Output: "{}", Retry: true, PercentComplete: new(int32(40))}
	want := Result{Attempt: 2, StartTime: time.Unix(1e9, 0), ErrorCode: "No", ErrorDetails: `{"page":3}`, PercentComplete: new(int32(40))}
	if diff := cmp.Diff(want, r.Failed("No", map[string]any{"page": 3})); diff != "" {
		t.Error(diff)
	}
}

func TestProgressCheck(t *testing.T) {
	for percent, ok := range map[int32]bool{-1: false, 0: true, 100: true, 101: false} {
		if err := (Progress{PercentComplete: percent}).Check(); (err == nil) != ok {
			t.Errorf("%d: %v", percent, err)
		}
		if err := (&Result{Output: "{}", PercentComplete: &percent}).Check(); (err == nil) != ok {
			t.Errorf("a result with %d: %v", percent, err)
		}
	}
}
