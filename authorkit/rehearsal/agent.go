package rehearsal

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

// AgentCommand is the first argument by which a program is told to be the
// agent. It has to be a process of its own: an agent reaps all its children.
const AgentCommand = "agent"

// envDir, for that process alone, is where the agent finds what a pod would
// have in fixed places.
const envDir = agentapi.EnvPrefix + "LOCAL_DIR"

// progressFile is the name of the file that the worker reports its progress in.
const progressFile = "progress"

// stopSignal is what the kubelet sends to a pod that is to end.
const stopSignal = syscall.SIGTERM

// places are what a pod would have in fixed places.
type places struct{ process, token, log string }

func place(dir string) places {
	return places{
		process: filepath.Join(dir, "process"),
		token:   filepath.Join(dir, "token"),
		log:     filepath.Join(dir, "termination-log"),
	}
}

// RunAgent is the agent, run by Run in a process of its own: args are what
// follows AgentCommand. Returns what to exit with.
func RunAgent(args, environ []string) int {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)).With("from", "procman-agent"))
	config, err := agent.ParseConfig(args, environ)
	if err != nil {
		slog.Error("read the settings", "error", err)
		return agentapi.ExitFinal
	}
	files := place(os.Getenv(envDir))
	config.Dir, config.TokenFile, config.TerminationLog = files.process, files.token, files.log
	return agent.Run(context.Background(), config)
}

// agentCommand is the agent of one attempt. It has a process group of its own,
// so that Ctrl-C on a terminal reaches it as a cluster's cancelling would, by
// SIGTERM, and it does not outlive this process.
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
	cmd.WaitDelay = time.Second // for what the worker left running with its output open
	return cmd
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(d, time.Second)/time.Second), 10)
}
