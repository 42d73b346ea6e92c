// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"strconv"
	"strings"
)

// oomFiles are the files with the number of processes of this container that the kernel
// killed because the memory limit was reached: first that of cgroup v2, then that of v1.
// The container's own cgroup is mounted there.
var oomFiles = []string{
	"/sys/fs/cgroup/memory.events",
	"/sys/fs/cgroup/memory/memory.oom_control",
}

// oomKills returns this number; 0 if neither file exists.
func oomKills() int64 {
	for _, name := range oomFiles {
		if text, err := os.ReadFile(name); err == nil {
			return oomKillCount(string(text))
		}
	}
	return 0
}

// oomKillCount returns N from the line "oom_kill N", which both formats have.
func oomKillCount(text string) int64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}
