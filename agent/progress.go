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

// progressInterval is how often the agent reads the worker's progress file, and so
// the shortest time between two reports.
const progressInterval = time.Second

// reportProgress reports the worker's progress whenever it has changed, until the
// function that it returns is called. A report that fails is sent again with the next
// tick.
func (c *collector) reportProgress(ctx context.Context, name string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		last := int32(-1)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			percent, ok := readProgress(name)
			if !ok || percent == last {
				continue
			}
			// A struct with one number always encodes.
			body, _ := json.Marshal(agentapi.Progress{PercentComplete: percent})
			if _, _, err := c.do(ctx, http.MethodPut, agentapi.ProgressPath, body); err == nil {
				last = percent
			}
		}
	}()
	return func() { cancel(); <-done }
}

// readProgress reads a number from 0 to 100, rounded down. ok is false for anything
// else: the worker may just be writing the file.
func readProgress(name string) (percent int32, ok bool) {
	f := readFile(name, 64)
	if f == nil || f.err != nil || f.content == nil {
		return 0, false
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(string(f.content)), 64)
	if err != nil || !(number >= 0 && number <= 100) { // NaN is neither
		return 0, false
	}
	return int32(number), true
}
