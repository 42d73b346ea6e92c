package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that a worker gets as if it were PID 1 itself. Those
// that ask it to stop come by the context.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
}

// stopSignals are those by which the agent is told to stop. A container runtime
// sends PID 1 the one that the image names, and images name more than SIGTERM:
// SIGQUIT (nginx), SIGWINCH (httpd), SIGRTMIN+3 (systemd). Elsewhere than in a
// container the latter two mean something else.
func stopSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
	if os.Getpid() == 1 {
		const rtmin = 34 // of glibc, whose numbers runtimes use
		signals = append(signals, syscall.SIGWINCH, syscall.Signal(rtmin+3))
	}
	return signals
}

// supervise runs the command until it ends and says how it did. It forwards
// signals, stops the command at the deadline or when ctx ends (SIGTERM, then
// SIGKILL after the grace period), kills it at once when it writes more than it
// may (more time would change nothing), reaps orphans as PID 1 has to, and ends
// whatever the command leaves running.
func supervise(ctx context.Context, c *Config, environ []string, deadline time.Time) ending {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)

	// Orphans of the worker become ours to reap even where we are not PID 1.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	oomBefore := oomKills()

	stderr := &tail{}
	pid, copied, err := start(c.Command, environ, io.MultiWriter(stderr, unfailing{os.Stderr}))
	if err != nil {
		return ending{startErr: err}
	}
	exited, childless := make(chan unix.WaitStatus, 1), make(chan struct{})
	go reap(pid, exited, childless)

	var e ending
	var kill <-chan time.Time
	stop := func() {
		tell(pid, syscall.SIGTERM)
		if kill == nil {
			kill = time.After(c.Grace)
		}
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	watch := time.NewTicker(watchInterval)
	defer watch.Stop()
	done := ctx.Done()
	for running := true; running; {
		select {
		case status := <-exited:
			running = false
			if status.Signaled() {
				e.signal = status.Signal()
			} else {
				e.exitCode = status.ExitStatus()
			}
		case sig := <-signals:
			_ = syscall.Kill(pid, sig.(syscall.Signal))
		case <-timeout.C:
			e.timedOut = true
			stop()
		case <-done:
			done = nil
			e.interrupted = true
			stop()
		case <-watch.C:
			if e.output, e.errorFile = oversized(c); e.output != nil || e.errorFile != nil {
				tell(pid, syscall.SIGKILL)
				watch.Stop()
			}
		case <-kill:
			tell(pid, syscall.SIGKILL)
		}
	}
	endDescendants(pid, childless)
	// With all writers gone the copy ends by itself; the bound is for a
	// descendant that could not be killed.
	select {
	case <-copied:
	case <-time.After(time.Second):
	}
	e.stderr = stderr.String()
	e.oomKills = oomKills() - oomBefore
	return e
}

// start starts the command in a process group of its own, with standard error
// copied to w. copied is closed when the copy has ended.
func start(command, environ []string, w io.Writer) (pid int, copied <-chan struct{}, err error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, nil, err
	}
	r, pipe, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = pipe.Close() }()
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = stdin.Close() }()
	// A core dump of a worker would hold a client's input. One byte, not none: that
	// is less than any file of a dump needs, and the one limit at which the kernel
	// (fs/coredump.c) does not hand it to a program of the node's either.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1})

	process, err := os.StartProcess(path, command, &os.ProcAttr{
		Env:   environ,
		Files: []*os.File{stdin, os.Stdout, pipe},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = r.Close()
		return 0, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = r.Close() }()
		_, _ = io.Copy(w, r)
	}()
	return process.Pid, done, nil
}

// tell sends a signal to the worker's process group, and to the worker itself
// should it have left that.
func tell(pid int, sig syscall.Signal) {
	if syscall.Kill(-pid, sig) != nil || sig == syscall.SIGKILL {
		_ = syscall.Kill(pid, sig)
	}
}

// reap waits for every child until none is left, passes on how pid ended, and
// closes childless in the end.
func reap(pid int, exited chan<- unix.WaitStatus, childless chan<- struct{}) {
	for {
		var status unix.WaitStatus
		child, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			close(childless)
			return
		case child == pid:
			exited <- status
		}
	}
}

// Bounds of the ending of what the worker left behind.
const (
	endTimeout  = time.Second
	endInterval = 5 * time.Millisecond
)

// endDescendants kills what the worker left running, and waits until it is
// gone or endTimeout is over. As PID 1 that is everything else in the container.
// Otherwise it is the worker's process group and then, again and again, all that
// is the agent's child: whoever left the group comes to the agent once its own
// parent is gone.
func endDescendants(pid int, childless <-chan struct{}) {
	late := time.After(endTimeout)
	for {
		if os.Getpid() == 1 {
			_ = syscall.Kill(-1, syscall.SIGKILL)
		} else {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			for _, child := range children() {
				_ = syscall.Kill(child, syscall.SIGKILL)
			}
		}
		select {
		case <-childless:
			return
		case <-late:
			return
		case <-time.After(endInterval):
		}
	}
}

// children are the agent's own, as far as /proc tells.
func children() []int {
	lists, _ := filepath.Glob("/proc/self/task/*/children") // the pattern is well-formed
	var pids []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// signalName is the name of a signal as people write it, such as SIGKILL.
func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return s.String()
}
