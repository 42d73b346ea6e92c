// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package authorkit

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/authorkit/localrun"
	"procman.dev/procman/internal/agentapi"
)

func TestDisplay(t *testing.T) {
	events := []localrun.Event{
		{Kind: localrun.Started, Attempt: 1, Attempts: 2},
		{Kind: localrun.Wrote, Attempt: 1, Attempts: 2, Text: "55.5"},
		{Kind: localrun.Progressed, Attempt: 1, Attempts: 2, Percent: 55},
		{Kind: localrun.Ended, Attempt: 1, Attempts: 2, Result: agentapi.Result{ErrorCode: "WorkerFailed", ErrorDetails: `{"signal":"SIGKILL"}`}, Retry: true},
		{Kind: localrun.Started, Attempt: 2, Attempts: 2},
		{Kind: localrun.Ended, Attempt: 2, Attempts: 2, Result: agentapi.Result{Output: "{}"}},
	}
	const erase = "\r\x1b[K"
	for name, test := range map[string]struct {
		terminal bool
		want     string
	}{
		"a line for each change": {false, "attempt 1 of 2: running\nwords\nattempt 1 of 2: 55%\nattempt 1 of 2: WorkerFailed: signal SIGKILL; trying again\n" +
			"attempt 2 of 2: running\nno line end\nattempt 2 of 2: complete\n"},
		"in place": {true, "attempt 1 of 2 0s" + erase + "words\nattempt 1 of 2 0s" + erase + "attempt 1 of 2 0s" + erase + "attempt 1 of 2 [###########---------]  55% 0s" +
			erase + "attempt 1 of 2: WorkerFailed: signal SIGKILL; trying again\nattempt 2 of 2 0s" + erase + "no line end\nattempt 2 of 2: complete\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			d := newDisplay(&out)
			d.terminal = test.terminal
			worker := d.wrap(&out)
			for i, e := range events {
				d.observe(e)
				switch i {
				case 0:
					_, _ = io.WriteString(worker, "words\n")
				case 4:
					_, _ = io.WriteString(worker, "no line end")
				}
			}
			d.close()
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
