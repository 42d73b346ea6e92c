// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	_, _ = io.Copy(io.Discard, os.Stdin) // blocks until the node process has created eth0
	if err := c.setUpNetwork(); err != nil {
		return fmt.Errorf("set up the node's network: %w", err)
	}
	s := &supervisor{logs: c.file("logs"), processes: map[int]process{}}
	for _, component := range components {
		go s.supervise(component)
	}
	go s.serveKills(c.file("kill"))
	s.reap()
	return nil
}

// setUpMounts gives the node a /proc of its own, and empty directories for the
// fixed paths of Kubernetes and containerd. Data that must remain when the node
// ends is only in the cluster's state directory.
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
	// A tmpfs on /var/lib hides the state directory, and perhaps the programs. If
	// so, they are bind-mounted at their old paths.
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
	// The node cannot reach other networks, so a lookup of any name outside of the
	// cluster must fail immediately. If /etc/resolv.conf is a link into /run, the
	// tmpfs hides its target, and lookups fail too.
	if err := mount(c.file("resolv.conf"), "/etc/resolv.conf", "", unix.MS_BIND); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if target, err := os.Readlink("/var/run"); err == nil && target != "/run" && target != "../run" {
		return fmt.Errorf("/var/run is a link to %s, expected /run", target)
	}
	// The kubelet mounts volumes that containers must see, so mounts are shared,
	// but only within the node's mount namespace.
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

// supervisor keeps components running and reaps all processes of the node.
type supervisor struct {
	logs string

	mu        sync.Mutex
	processes map[int]process // the components' processes, by process id
}

type process struct {
	name  string
	ended chan struct{}
}

// The pause before a component is restarted.
const (
	shortestPause = 200 * time.Millisecond
	longestPause  = 5 * time.Second
)

// supervise starts the component, and restarts it whenever it ends. The pause
// doubles each time, and is short again after the component ran for a minute.
func (s *supervisor) supervise(component component) {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		for component.ready != nil && !component.ready() {
			time.Sleep(50 * time.Millisecond)
		}
		started := time.Now()
		if ended, err := s.start(component); err == nil {
			<-ended
		} else {
			logEvent("start %s: %v", component.name, err)
		}
		if time.Since(started) > time.Minute {
			pause = shortestPause
		}
		time.Sleep(pause)
	}
}

// start starts a component with its log file as output.
func (s *supervisor) start(component component) (ended <-chan struct{}, err error) {
	log, err := os.OpenFile(filepath.Join(s.logs, component.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(component.args[0], component.args[1:]...) // without Wait: reap waits for all children
	cmd.Env = append(os.Environ(), component.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.mu.Lock() // reap must not handle its end before it is recorded
	defer s.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := process{component.name, make(chan struct{})}
	s.processes[cmd.Process.Pid] = p
	return p.ended, nil
}

// reap collects every child that ends, including orphans of components.
func (s *supervisor) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err != nil { // usually ECHILD: there is no child yet
			time.Sleep(20 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		if p, ok := s.processes[pid]; ok {
			logEvent("%s ended: exit code %d, signal %d", p.name, status.ExitStatus(), status.Signal())
			delete(s.processes, pid)
			close(p.ended)
		}
		s.mu.Unlock()
	}
}

// kill kills a component.
func (s *supervisor) kill(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid, p := range s.processes {
		if p.name == name {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// logEvent writes a line to the log of the node.
func logEvent(format string, args ...any) {
	fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339), fmt.Sprintf(format, args...))
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
				s.kill(name)
			}
		}
	}
}
