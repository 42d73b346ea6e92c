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

// progressInterval is how often the worker's progress file is looked at, and
// so the most often that progress is reported.
const progressInterval = time.Second

// reportProgress passes the worker's progress on whenever it has changed,
// until the function it returns is called. A report that fails is not
// repeated: the next one says more.
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
			// A struct of one number always encodes.
			body, _ := json.Marshal(agentapi.Progress{PercentComplete: percent})
			if _, _, err := c.do(ctx, http.MethodPut, agentapi.ProgressPath, body); err == nil {
				last = percent
			}
		}
	}()
	return func() { cancel(); <-done }
}

// readProgress reads a number from 0 to 100, rounded down. What is not one is
// no report: the worker may be in the middle of writing it.
func readProgress(name string) (int32, bool) {
	f := readFile(name, 64)
	if f == nil || f.err != nil || f.content == nil {
		return 0, false
	}
	percent, err := strconv.ParseFloat(strings.TrimSpace(string(f.content)), 64)
	if err != nil || !(percent >= 0 && percent <= 100) {
		return 0, false
	}
	return int32(percent), true
}
