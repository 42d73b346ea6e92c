// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestCgroupMounts(t *testing.T) {
	const mountinfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 29 0:26 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory
31 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 22 0:28 / /proc rw - proc proc rw
`
	if got := cgroupMounts(mountinfo); !slices.Equal(got, []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"}) {
		t.Errorf("got %v", got)
	}
}

func TestStateSurvives(t *testing.T) {
	t.Setenv("PROCMAN_LOCALCLUSTER_DIR", t.TempDir())
	c, err := open("x")
	if err != nil || c.exists() || c.running() {
		t.Fatalf("a cluster that does not exist: %+v, %v", c, err)
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.Slot, c.Forwards = 3, forwards{1: 2}
	c.PID, c.StartTime = os.Getpid(), startTime(os.Getpid())
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	again, err := open("x")
	if err != nil || !again.running() || again.nodeIP() != "10.213.3.2" || again.Forwards.String() != "1=2" {
		t.Errorf("got %+v, %v", again, err)
	}
	// The PID was reused: the start time differs.
	again.StartTime = "1"
	if again.running() {
		t.Error("another process with that PID counts as the cluster")
	}
	if err := os.WriteFile(c.file("state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open("x"); err == nil {
		t.Error("a broken state file was ignored")
	}
}

func TestLockIsHeldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(path, "waiting")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(path); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	file, err := tryLock(path)
	if err != nil {
		t.Fatalf("after the first was released: %v", err)
	}
	_ = file.Close()
}
