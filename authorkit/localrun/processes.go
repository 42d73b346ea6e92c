// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"procman.dev/procman/agent"
	"procman.dev/procman/internal/agentapi"
)

// Running returns the PIDs of the worker of a process and of the programs that it runs:
// those with the id of the process and PROCESS_INPUT_FILE in their environment.
func Running(processID string) []int {
	var found []int
	entries, _ := os.ReadDir("/proc") // an error means that a program has just ended
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ")) // empty for a zombie
		if hasEntry(environ, agentapi.EnvProcessID+"="+processID) && hasEntry(environ, agentapi.EnvInputFile+"=") {
			found = append(found, pid)
		}
	}
	return found
}

// hasEntry reports whether an entry of an environment, in the format of /proc, begins
// with prefix.
func hasEntry(environ []byte, prefix string) bool {
	return bytes.HasPrefix(environ, []byte(prefix)) || bytes.Contains(environ, []byte("\x00"+prefix))
}

// childExitTime is how long children may still run after their parent has ended.
const childExitTime = 200 * time.Millisecond

// LeftBehind runs the worker's command and returns the names of the programs that are
// still running after the command has ended. It runs the command without the agent,
// because the agent would kill these programs. LeftBehind kills them at the end. It does
// not find a program that has cleared its environment.
func LeftBehind(ctx context.Context, o Options) (names []string, err error) {
	dir, err := os.MkdirTemp("", "procman-")
	if err != nil {
		return nil, fmt.Errorf("create the directory of the process: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config := agent.Config{Dir: dir, Environ: environment(o.Type)}
	if err := os.WriteFile(config.InputFile(), o.Input, 0o600); err != nil {
		return nil, fmt.Errorf("write the input: %w", err)
	}
	timeout := time.Duration(o.Type.Spec.TimeoutSeconds) * time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	in := agentapi.Input{ProcessID: newID(), ProcessType: o.Type.Name, Attempt: 1}
	cmd := exec.CommandContext(ctx, o.Command[0], o.Command[1:]...)
	cmd.Env = config.WorkerEnviron(&in, time.Now().Add(timeout))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: stopSignal}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_ = cmd.Wait() // its exit status does not matter
	deadline := time.After(childExitTime)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	pids := Running(in.ProcessID)
	for waiting := true; waiting && len(pids) > 0; {
		select {
		case <-deadline:
			waiting = false
		case <-tick.C:
			pids = Running(in.ProcessID)
		}
	}
	for _, pid := range pids {
		name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		names = append(names, strings.TrimSpace(string(name)))
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return names, nil
}
