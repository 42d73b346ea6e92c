// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// progressInterval is how often the agent reads the worker's progress file.
const progressInterval = time.Second

// reportProgress reports the worker's progress whenever a report is due, until stop is
// called. If a report fails, it tries again after progressInterval, with the progress of
// that time.
func (c *collector) reportProgress(ctx context.Context, name string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		var last *int32        // the progress that was reported last
		var reported time.Time // when it was reported
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			percent, ok := readProgress(name)
			progress := agentapi.Progress{PercentComplete: percent}
			if !ok || !progress.Due(last, time.Since(reported)) {
				continue
			}
			body, _ := json.Marshal(progress) // a struct with one number always encodes
			if err := c.do(ctx, http.MethodPut, agentapi.ProgressPath, nil, string(body), nil); err == nil {
				last, reported = &percent, time.Now() // later than the collector's own time of this report
			}
		}
	}()
	return func() { cancel(); <-done }
}

// readProgress reads a number from 0 to 100, rounded down. ok is false for anything else.
// That is not an error: the worker may be writing the file at this moment.
func readProgress(name string) (percent int32, ok bool) {
	f := readFile(name, 64)
	if f == nil || f.err != nil || f.content == nil {
		return 0, false
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(string(f.content)), 64)
	if err != nil || !(number >= 0 && number <= 100) { // NaN fails both comparisons
		return 0, false
	}
	return int32(number), true
}
