// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A Monitor shows and logs each change, once.
func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		registry := prometheus.NewRegistry()
		m, err := NewMonitor(&Store{}, funcr.New(func(_, args string) { log = append(log, args) }, funcr.Options{}), registry)
		if err != nil {
			t.Fatal(err)
		}
		var away error
		m.check = func(context.Context) error { return away }
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = m.Start(ctx) }()
		for i, step := range []struct {
			err error
			log string // what the last line contains
		}{
			{nil, ""},
			{errors.New("no route"), "no route"},
			{errors.New("no route"), "no route"},
			{nil, "can be reached again"},
			{nil, "can be reached again"},
		} {
			away = step.err
			time.Sleep(checkInterval) //nolint:forbidigo // synctest's time
			synctest.Wait()
			want := "1"
			if step.err != nil {
				want = "0"
			}
			text := "# HELP procman_store_reachable Whether the object store could be reached at the last check, 10 s ago or less: 1 or 0.\n# TYPE procman_store_reachable gauge\nprocman_store_reachable " + want + "\n"
			if err := testutil.GatherAndCompare(registry, strings.NewReader(text)); err != nil {
				t.Errorf("step %d: %v", i, err)
			}
			if last := strings.Join(log[max(0, len(log)-1):], ""); !strings.Contains(last, step.log) || step.log == "" && last != "" {
				t.Errorf("step %d: the log ends with %q, want %q", i, last, step.log)
			}
		}
		if len(log) != 2 {
			t.Errorf("the log has %q, want two lines", log)
		}
		stop()
		synctest.Wait()
	})
}
