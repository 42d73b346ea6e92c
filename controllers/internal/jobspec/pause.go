// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"time"

	"procman.dev/procman/internal/agentapi"
)

// Pause returns the time that a type's backoffSeconds ask for between the end of an
// attempt and the start of the next worker, after this many failed attempts. It doubles
// with each, up to agentapi.MaxPause. 0 when the type asks for none.
func Pause(backoffSeconds, failed int32) time.Duration {
	if backoffSeconds <= 0 || failed <= 0 {
		return 0
	}
	first := min(time.Duration(backoffSeconds)*time.Second, agentapi.MaxPause)
	return min(first<<min(failed-1, 12), agentapi.MaxPause)
}
