// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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

// forwarded are the signals that the agent forwards to the worker. stopSignals are not
// forwarded: they end the context.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
}

// stopSignals returns the signals that stop the agent. A container runtime sends PID 1 the
// STOPSIGNAL of the image, which is not always SIGTERM: SIGQUIT (nginx), SIGWINCH (httpd),
// SIGRTMIN+3 (systemd). Outside of a container, the last two have other meanings.
func stopSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
	if os.Getpid() == 1 {
		const rtmin = 34 // as in glibc, whose numbers runtimes use
		signals = append(signals, syscall.SIGWINCH, syscall.Signal(rtmin+3))
	}
	return signals
}

// supervise runs the command and returns how it ended. It
//   - forwards signals,
//   - stops the command at the deadline or when ctx ends: SIGTERM, then SIGKILL after the
//     grace,
//   - kills it immediately when a file is over its limit, because more time would not help,
//   - reaps orphans, as PID 1 must,
//   - kills everything that the command leaves running.
func supervise(ctx context.Context, c *Config, environ []string, deadline time.Time) ending {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)

	// Where the agent is not PID 1, this makes it the parent of the worker's orphans.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	oomBefore := oomKills()

	stderr := &tail{}
	pid, copied, err := start(c.Command, environ, io.MultiWriter(stderr, ignoreErrors{os.Stderr}))
	if err != nil {
		return ending{startProblem: startCause(c.Command[0], err)}
	}
	exited, noChildren := make(chan unix.WaitStatus, 1), make(chan struct{})
	go reap(pid, exited, noChildren)

	var e ending
	var kill <-chan time.Time
	stop := func() {
		signalWorker(pid, syscall.SIGTERM)
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
				signalWorker(pid, syscall.SIGKILL)
				watch.Stop()
			}
		case <-kill:
			signalWorker(pid, syscall.SIGKILL)
		}
	}
	endDescendants(pid, noChildren)
	// The copy of standard error ends when no process has the pipe open. The timeout is
	// for a descendant that could not be killed.
	select {
	case <-copied:
	case <-time.After(time.Second):
	}
	e.stderr = stderr.String()
	if e.exitCode != 0 && !e.interrupted {
		e.cause, e.permanent = crashCause(c.Command)
	}
	e.oomKills = oomKills() - oomBefore
	return e
}

// start starts the command in its own process group, and copies its standard error to w.
// copied is closed when the copy has ended.
func start(command, environ []string, w io.Writer) (pid int, copied <-chan struct{}, err error) {
	r, pipe, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = pipe.Close() }()
	// A core dump would contain a client's input. With a limit of 1 byte the kernel
	// (fs/coredump.c) writes none, and does not pipe it to a program of the node either;
	// with 0 it would.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1})

	cmd := exec.Command(command[0], command[1:]...) // without Wait: reap waits for all children
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, os.Stdout, pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_ = r.Close()
		return 0, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = r.Close() }()
		_, _ = io.Copy(w, r)
	}()
	return cmd.Process.Pid, done, nil
}

// signalWorker sends a signal to the worker's process group, and to the worker itself if
// it has left the group.
func signalWorker(pid int, sig syscall.Signal) {
	if syscall.Kill(-pid, sig) != nil || sig == syscall.SIGKILL {
		_ = syscall.Kill(pid, sig)
	}
}

// reap waits for every child until none is left, and then closes noChildren. It sends the
// status of pid to exited.
func reap(pid int, exited chan<- unix.WaitStatus, noChildren chan<- struct{}) {
	for {
		var status unix.WaitStatus
		child, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			close(noChildren)
			return
		case child == pid:
			exited <- status
		}
	}
}

// How long and how often endDescendants tries.
const (
	endTimeout  = time.Second
	endInterval = 5 * time.Millisecond
)

// endDescendants kills everything that the worker left running, and waits until the agent
// has no child or endTimeout is over. As PID 1 it kills all other processes of the
// container. Otherwise it kills the worker's process group and the agent's children,
// repeatedly: a process that left the group becomes the agent's child when its parent ends.
func endDescendants(pid int, noChildren <-chan struct{}) {
	timeout := time.After(endTimeout)
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
		case <-noChildren:
			return
		case <-timeout:
			return
		case <-time.After(endInterval):
		}
	}
}

// children returns the PIDs of the agent's children from /proc; none if /proc does not
// list them.
func children() []int {
	lists, _ := filepath.Glob("/proc/self/task/*/children") // the pattern is valid
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

// signalName returns the usual name of a signal, such as SIGKILL.
func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return s.String()
}
