// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	l, c := opened()
	l.Register(typeT, 1)
	l.Register(key("idle"), 0)
	l.Observe(newProcess("a", 0), false)
	l.ObserveJob(key("a"), "uid-a", true, false)
	l.Observe(newProcess("b", 1), false)
	unknown := newProcess("u", 0)
	unknown.Spec.Type = "unknown"
	l.Observe(unknown, false)
	c.SetTime(start.Add(42 * time.Second))
	if err := testutil.CollectAndCompare(l, strings.NewReader(`
# HELP procman_processes_queued Number of processes that have no Job yet: they wait for a slot of maxConcurrent, for their type, or for their Job.
# TYPE procman_processes_queued gauge
procman_processes_queued{namespace="work",type="idle"} 0
procman_processes_queued{namespace="work",type="t"} 1
# HELP procman_processes_running Number of processes that have a Job and are not terminal.
# TYPE procman_processes_running gauge
procman_processes_running{namespace="work",type="idle"} 0
procman_processes_running{namespace="work",type="t"} 1
`), "procman_processes_queued", "procman_processes_running"); err != nil {
		t.Error(err)
	}
	l.Forget(key("a"), "uid-a")
	if err := testutil.CollectAndCompare(l.waits, strings.NewReader(`
# HELP procman_queue_wait_seconds Time from the creation of a process until it is admitted, with a precision of one second.
# TYPE procman_queue_wait_seconds histogram
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="1"} 1
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="2"} 1
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="5"} 1
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="10"} 1
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="30"} 1
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="60"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="120"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="300"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="600"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="1200"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="3600"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="14400"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="86400"} 2
procman_queue_wait_seconds_bucket{namespace="work",type="t",le="+Inf"} 2
procman_queue_wait_seconds_sum{namespace="work",type="t"} 41
procman_queue_wait_seconds_count{namespace="work",type="t"} 2
`)); err != nil {
		t.Error(err)
	}
	l.Unregister(typeT)
	if n := testutil.CollectAndCount(l); n != 4 {
		t.Errorf("%d series remain, want the two of idle and the two of the window", n)
	}
}
