package agent

import (
	"os"
	"strconv"
	"strings"
)

// oomFiles hold the count of processes that the kernel ended in this container
// for want of memory: cgroup v2, then v1. The container sees its own cgroup
// mounted there.
var oomFiles = []string{
	"/sys/fs/cgroup/memory.events",
	"/sys/fs/cgroup/memory/memory.oom_control",
}

// oomKills is that count; 0 where the kernel does not tell.
func oomKills() int64 {
	for _, name := range oomFiles {
		if text, err := os.ReadFile(name); err == nil {
			return oomKillCount(string(text))
		}
	}
	return 0
}

// oomKillCount finds the line "oom_kill N" that both formats have.
func oomKillCount(text string) int64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}
