// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestStartTime(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs sleep")
	}
	// A name that looks like other fields of /proc/PID/stat.
	odd := filepath.Join(t.TempDir(), "a) Z 1 (b")
	if err := os.Symlink(sleep, odd); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(odd, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, err1 := strconv.Atoi(startTime(cmd.Process.Pid))
	own, err2 := strconv.Atoi(startTime(os.Getpid()))
	if err1 != nil || err2 != nil || child < own {
		t.Errorf("a child started at %d (%v), this test at %d (%v)", child, err1, own, err2)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if got := startTime(cmd.Process.Pid); got != "" {
		t.Errorf("a process that ended has start time %q", got)
	}
}

func TestBecameReady(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	for conditions, want := range map[string]bool{
		"True=2026-01-02T03:04:05Z\n":                             true, // the same second
		"True=2026-01-02T03:04:04Z\n":                             false,
		"False=2026-01-02T03:05:00Z\n":                            false,
		"False=2026-01-02T03:05:00Z\nTrue=2026-01-02T03:05:01Z\n": true,
		"":        false,
		"True=\n": false,
	} {
		if got := becameReady(conditions, since); got != want {
			t.Errorf("%q: %v, want %v", conditions, got, want)
		}
	}
}
