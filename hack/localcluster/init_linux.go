// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runInit is PID 1 of the node: it sets up mounts and the network, keeps the
// components running, and reaps orphaned processes. It runs as long as the node.
func runInit(o options) error {
	if os.Getpid() != 1 {
		return errors.New("init must be PID 1 of a new PID namespace: up starts it")
	}
	c, err := open(o.name)
	if err != nil {
		return err
	}
	components := c.components() // before the mounts, which may hide files that it reads
	if err := c.setUpMounts(); err != nil {
		return fmt.Errorf("set up the node's mounts: %w", err)
	}
	if err := unix.Sethostname([]byte(c.nodeName())); err != nil {
		return fmt.Errorf("set the node's name: %w", err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // ends when the node process has created eth0
	if err := c.setUpNetwork(); err != nil {
		return fmt.Errorf("set up the node's network: %w", err)
	}
	s := newSupervisor(c.file("logs"))
	for _, component := range components {
		go s.supervise(component)
	}
	go s.serveKills(c.file("kill"))
	s.reap()
	return nil
}

// setUpMounts gives the node its own /proc, and empty directories of its own
// where Kubernetes and containerd have fixed paths. Data that must outlive the
// node is only in the cluster's state directory.
func (c *cluster) setUpMounts() error {
	mount := func(source, target, kind string, flags uintptr) error {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", source, target, err)
		}
		return nil
	}
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC); err != nil {
		return err
	}
	// A tmpfs on /var/lib hides the state directory, and perhaps the programs:
	// both are then bind-mounted at their old paths.
	kept := []string{c.dir}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	kept = append(kept, cache)
	handles := make([]*os.File, len(kept))
	for i, dir := range kept {
		if handles[i], err = os.Open(dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/run", "/var/lib", "/var/log"} {
		if err := mount("tmpfs", dir, "tmpfs", 0); err != nil {
			return err
		}
	}
	for i, dir := range kept {
		handle := fmt.Sprintf("/proc/self/fd/%d", handles[i].Fd())
		if _, err := os.Stat(dir); err != nil {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := mount(handle, dir, "", unix.MS_BIND|unix.MS_REC); err != nil {
				return err
			}
		}
		_ = handles[i].Close()
	}
	// The node cannot reach other networks, so a lookup of any other name must
	// fail immediately. If the file is a link into /run, the tmpfs there has
	// removed its target, and lookups fail, too.
	if err := mount(c.file("resolv.conf"), "/etc/resolv.conf", "", unix.MS_BIND); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if target, err := os.Readlink("/var/run"); err == nil && target != "/run" && target != "../run" {
		return fmt.Errorf("/var/run is a link to %s, expected /run", target)
	}
	// The kubelet mounts volumes that containers must see, so mounts are shared;
	// only the node's own namespaces take part.
	return mount("", "/", "", unix.MS_REC|unix.MS_SHARED)
}

// component is a program that is kept running.
type component struct {
	name string
	args []string
	env  []string
	// ready, if not nil, must return true before each start.
	ready func() bool
}

// supervisor keeps components running and records their processes.
type supervisor struct {
	logs   string
	starts chan start
	exits  chan exit
	kills  chan string
}

type start struct {
	component component
	done      chan int
}

type exit struct {
	pid    int
	status unix.WaitStatus
}

func newSupervisor(logs string) *supervisor {
	return &supervisor{logs: logs, starts: make(chan start), exits: make(chan exit), kills: make(chan string)}
}

// The pause before a component is restarted.
const (
	shortestPause = 200 * time.Millisecond
	longestPause  = 5 * time.Second
)

// supervise starts the component, and restarts it whenever it ends. The pause
// doubles each time, and is short again after the component ran for a minute.
func (s *supervisor) supervise(component component) {
	for pause := shortestPause; ; {
		for component.ready != nil && !component.ready() {
			time.Sleep(50 * time.Millisecond)
		}
		started := time.Now()
		done := make(chan int, 1)
		s.starts <- start{component, done}
		<-done
		if time.Since(started) > time.Minute {
			pause = shortestPause
		}
		time.Sleep(pause)
		pause = min(2*pause, longestPause)
	}
}

// reap starts components, collects the exits of all children, and kills
// components on request. Only this goroutine uses the record of processes.
func (s *supervisor) reap() {
	go s.wait()
	type running struct {
		name string
		done chan int
	}
	processes := map[int]running{}
	for {
		select {
		case start := <-s.starts:
			pid, err := s.start(start.component)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s start %s: %v\n", time.Now().Format(time.RFC3339), start.component.name, err)
				start.done <- -1
				continue
			}
			processes[pid] = running{start.component.name, start.done}
		case exit := <-s.exits:
			if process, ok := processes[exit.pid]; ok {
				fmt.Fprintf(os.Stderr, "%s %s ended: exit code %d, signal %d\n", time.Now().Format(time.RFC3339), process.name, exit.status.ExitStatus(), exit.status.Signal())
				delete(processes, exit.pid)
				process.done <- exit.status.ExitStatus()
			}
		case name := <-s.kills:
			for pid, process := range processes {
				if process.name == name {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	}
}

// wait reports every child that ends, including orphans of components. An exit
// cannot overtake its start: reap records a process before it receives again.
func (s *supervisor) wait() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == nil:
			s.exits <- exit{pid, status}
		case errors.Is(err, unix.ECHILD):
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// start starts a component with its log file as output.
func (s *supervisor) start(component component) (int, error) {
	log, err := os.OpenFile(filepath.Join(s.logs, component.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	return syscall.ForkExec(component.args[0], component.args, &syscall.ProcAttr{
		Env:   append(os.Environ(), component.env...),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// serveKills kills the component whose name is written into the named pipe. Fault
// tests use it, because they cannot see the node's processes.
func (s *supervisor) serveKills(path string) {
	_ = os.Remove(path)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "create the pipe for kills:", err)
		return
	}
	for {
		text, err := os.ReadFile(path) // blocks until a writer has closed the pipe
		if err == nil {
			for name := range strings.FieldsSeq(string(text)) {
				s.kills <- name
			}
		}
	}
}
