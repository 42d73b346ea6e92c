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

// runInit is PID 1 of the node: it arranges mounts and network, keeps the
// components running, and reaps what they leave. It ends only with the node.
func runInit(o options) error {
	if os.Getpid() != 1 {
		return errors.New("init is started by up")
	}
	c, err := open(o.name)
	if err != nil {
		return err
	}
	components := c.components() // reads files that the mounts may hide
	if err := c.arrangeMounts(); err != nil {
		return fmt.Errorf("arrange the node's mounts: %w", err)
	}
	if err := unix.Sethostname([]byte(c.nodeName())); err != nil {
		return fmt.Errorf("set the node's name: %w", err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the other end of eth0 is there
	if err := c.arrangeNetwork(); err != nil {
		return fmt.Errorf("arrange the node's network: %w", err)
	}
	s := newSupervisor(c.file("logs"))
	for _, component := range components {
		go s.keep(component)
	}
	go s.serveKills(c.file("kill"))
	s.reap()
	return nil
}

// arrangeMounts gives the node its own /proc, and scratch directories of its
// own where Kubernetes and containerd have fixed paths; what the cluster keeps
// is in its state directory alone.
func (c *cluster) arrangeMounts() error {
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
	// A tmpfs on /var/lib would hide the state and perhaps the binaries: they
	// are bound to the same paths again.
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
	// There is no way out of the node, so names outside are refused at once.
	// Where the file leads to something in /run, that is gone, and so are the names.
	if err := mount(c.file("resolv.conf"), "/etc/resolv.conf", "", unix.MS_BIND); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if target, err := os.Readlink("/var/run"); err == nil && target != "/run" && target != "../run" {
		return fmt.Errorf("/var/run leads to %s, expected /run", target)
	}
	// Volumes of pods are passed on through mounts, so these are shared, among
	// the node's own namespaces only.
	return mount("", "/", "", unix.MS_REC|unix.MS_SHARED)
}

// component is a program that is kept running.
type component struct {
	name string
	args []string
	env  []string
	// ready is asked before each start: what has to be there first.
	ready func() bool
}

// supervisor keeps components running and knows which process is which.
type supervisor struct {
	logs string
	// ended passes the exit of a process on to whoever started it.
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

// Between one end of a component and its next start.
const (
	shortestRestart = 200 * time.Millisecond
	longestRestart  = 5 * time.Second
)

// keep starts the component, again and again, with growing pauses while it ends
// soon after its start.
func (s *supervisor) keep(component component) {
	for pause := shortestRestart; ; {
		for component.ready != nil && !component.ready() {
			time.Sleep(50 * time.Millisecond)
		}
		started := time.Now()
		done := make(chan int, 1)
		s.starts <- start{component, done}
		<-done
		if time.Since(started) > time.Minute {
			pause = shortestRestart
		}
		time.Sleep(pause)
		pause = min(2*pause, longestRestart)
	}
}

// reap is PID 1's duty, and the one place that knows which processes are the
// components': it starts them, waits for whatever ends, and kills on request.
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

// wait reports every child that ends, orphans of components among them. A child
// is only waited for after its start is on record: reap receives the exit later
// than it sets the record, since both are its own steps.
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

// serveKills kills the component whose name is written into the pipe: the way
// into the node's processes for fault tests.
func (s *supervisor) serveKills(path string) {
	_ = os.Remove(path)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "make pipe for kills:", err)
		return
	}
	for {
		text, err := os.ReadFile(path) // until the writer closes it
		if err == nil {
			for name := range strings.FieldsSeq(string(text)) {
				s.kills <- name
			}
		}
	}
}
