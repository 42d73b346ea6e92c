// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"procman.dev/procman/agent"
	"procman.dev/procman/internal/agentapi"
)

// AgentCommand is the first argument by which a program is started as the agent. The
// agent needs an operating system process of its own, because it waits for all children
// of its process.
const AgentCommand = "agent"

// envDir is the variable with the directory of the agent's files. In a pod, these files
// have fixed paths.
const envDir = agentapi.EnvPrefix + "LOCAL_DIR"

// stopSignal is the signal by which the kubelet stops a pod.
const stopSignal = syscall.SIGTERM

// setPaths sets the paths that are fixed in a pod to paths in dir.
func setPaths(c *agent.Config, dir string) {
	c.Dir, c.TokenFile, c.TerminationLog = filepath.Join(dir, "process"), filepath.Join(dir, "token"), filepath.Join(dir, "termination-log")
}

// RunAgent runs the agent and returns its exit status. args are the arguments after
// AgentCommand.
func RunAgent(args, environ []string) int {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)).With("from", "procman-agent"))
	config, err := agent.ParseConfig(args, environ)
	if err != nil {
		slog.Error("read the settings", "error", err)
		return agentapi.ExitFinal
	}
	setPaths(&config, os.Getenv(envDir))
	return agent.Run(context.Background(), config)
}

// agentCommand returns the command that runs the agent of one attempt. The agent has its
// own process group, so that a terminal does not send Ctrl-C to it; Run sends SIGTERM, as
// the kubelet does. The agent also gets SIGTERM when this process ends.
func agentCommand(r *run, dir string) *exec.Cmd {
	cmd := exec.Command(r.Program, append([]string{AgentCommand, "--"}, r.Command...)...)
	cmd.Env = append(environment(r.Type),
		agentapi.EnvCollectorURL+"="+r.url,
		agentapi.EnvGraceSeconds+"="+seconds(r.Grace),
		agentapi.EnvOutputLimitBytes+"="+strconv.Itoa(r.Type.MaxOutputBytes()),
		envDir+"="+dir,
	)
	cmd.Stdout, cmd.Stderr = r.Stdout, r.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: stopSignal}
	cmd.WaitDelay = time.Second // children of the worker may still have its output open
	return cmd
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(d, time.Second)/time.Second), 10)
}
