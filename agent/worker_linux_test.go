// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"procman.dev/procman/internal/agentapi"
)

// loner is a worker that leaves its process group and ignores SIGTERM.
func loner() {
	signal.Ignore(syscall.SIGTERM)
	group, err := syscall.Getpgid(syscall.Getppid())
	if err != nil {
		panic(err)
	}
	if err := syscall.Setpgid(0, group); err != nil {
		panic(err)
	}
	<-time.After(time.Hour) // select {} would be a deadlock
}

// asInit makes an agent PID 1 of a PID namespace, as it is in a container.
func asInit() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if uid := os.Geteuid(); uid != 0 { // in a user namespace, making a PID namespace does not need root
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	}
	return attr
}

// What the worker leaves running is gone before its result is delivered,
// whichever way it left the worker's side.
func TestDescendantsEndWithTheWorker(t *testing.T) {
	t.Parallel()
	for name, spawn := range map[string]string{
		"in the background":  `hold &`,
		"deaf to SIGTERM":    `(trap "" TERM HUP INT; hold) &`,
		"an orphan":          `(hold &)`,
		"in its own session": `setsid sh -c 'exec 7>"$FIFO"; touch "$FIFO.up"; while :; do sleep 1; done' &`,
		"a daemon":           `(setsid sh -c '(exec 7>"$FIFO"; touch "$FIFO.up"; while :; do sleep 1; done) & (sleep 100 &)' &)`,
	} {
		for _, init := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", agent is PID 1"}[init], func(t *testing.T) {
				t.Parallel()
				fifo := filepath.Join(t.TempDir(), "fifo")
				if err := syscall.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				reader, err := syscall.Open(fifo, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = syscall.Close(reader) }()
				var attr *syscall.SysProcAttr
				if init {
					attr = asInit()
				}
				held := true
				f := &fake{onRequest: func(path string) {
					if path == agentapi.ResultPath { // EOF: nobody holds it open for writing
						_, err := syscall.Read(reader, make([]byte, 1))
						held = err != nil
					}
				}}
				r := startAgentWith(t, f, `export FIFO=`+fifo+`; hold() { exec 7>"$FIFO"; touch "$FIFO.up"; while :; do sleep 1; done; }; `+
					spawn+"\n"+`while ! test -e "$FIFO.up"; do sleep 0.02; done; echo {} >"$PROCESS_OUTPUT_FILE"`, nil, func(cmd *exec.Cmd) { cmd.SysProcAttr = attr })
				if exit := r.end(t); exit != 0 || f.result == nil {
					t.Fatalf("exit %d, result %+v", exit, f.result)
				}
				if held {
					t.Error("something of the worker's still ran when its result was delivered")
				}
			})
		}
	}
}

func TestZombiesAreReaped(t *testing.T) {
	t.Parallel()
	// Five orphans end at once; those that nobody waits for stay as zombies.
	r := startAgent(t, &fake{}, `for i in 1 2 3 4 5; do (true &); done; sleep 0.5
		n=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent=$PPID '$3 == "Z" && $4 == parent' | wc -l)
		echo "{\"zombies\":$n}" >"$PROCESS_OUTPUT_FILE"`, nil)
	if r.end(t); r.fake.result == nil || strings.TrimSpace(r.fake.result.Output) != `{"zombies":0}` {
		t.Errorf("result %+v", r.fake.result)
	}
}

func TestCoreDumpsAreOff(t *testing.T) {
	t.Parallel()
	r := startAgent(t, &fake{}, `awk '/^Max core file size/ {print "{\"soft\":" $5 ",\"hard\":" $6 "}"}' /proc/self/limits >"$PROCESS_OUTPUT_FILE"`, nil)
	if r.end(t); r.fake.result == nil || strings.TrimSpace(r.fake.result.Output) != `{"soft":1,"hard":1}` {
		t.Errorf("result %+v", r.fake.result)
	}
}

func TestOtherSignalsReachTheWorkerAndItGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startAgent(t, &fake{}, `cd `+dir+`; trap 'touch hup' HUP; trap 'touch usr1' USR1; touch ready
		while ! test -e hup || ! test -e usr1; do sleep 0.02; done; echo {} >"$PROCESS_OUTPUT_FILE"`, nil)
	appears(t, filepath.Join(dir, "ready"))
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
		if err := r.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	if exit := r.end(t); exit != 0 {
		t.Errorf("exit %d", exit)
	}
}

// An image names the signal by which its container is stopped.
func TestStopSignalsOfImages(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGWINCH": syscall.SIGWINCH, "SIGRTMIN+3": 37} {
		for _, init := range []bool{true, false} { // else it means something else
			ready := filepath.Join(t.TempDir(), "ready")
			r := startAgentWith(t, &fake{}, `trap 'echo "{\"told\":true}" >"$PROCESS_OUTPUT_FILE"; exit 0' TERM; touch `+ready+`
				n=0; while [ $n -lt 40 ]; do n=$((n+1)); sleep 0.05; done; echo "{\"told\":false}" >"$PROCESS_OUTPUT_FILE"`, nil, func(c *exec.Cmd) {
				if init {
					c.SysProcAttr = asInit()
				}
			})
			appears(t, ready)
			if err := r.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			exit := r.end(t)
			switch told := exit == 0 && r.fake.result != nil && strings.Contains(r.fake.result.Output, `"told":true`); {
			case init && !told:
				t.Errorf("PID 1 and %s: exit %d, result %+v", name, exit, r.fake.result)
			case !init && told:
				t.Errorf("%s elsewhere than in a container has stopped the worker", name)
			}
		}
	}
}

func TestSIGTERMIsFollowedBySIGKILL(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	r := startAgentWith(t, &fake{timeout: time.Hour}, `trap "" TERM; touch `+ready+`; while :; do sleep 0.1; done`,
		func(c *Config) { c.Grace = 300 * time.Millisecond }, func(cmd *exec.Cmd) { cmd.SysProcAttr = asInit() })
	appears(t, ready)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exit := r.end(t)
	if got := r.fake.result; exit == 0 || exit == agentapi.ExitFinal || got == nil || !strings.Contains(got.ErrorDetails, "SIGKILL") || !got.Retry || !got.Interrupted {
		t.Errorf("exit %d, result %+v, want an interrupted attempt, killed", exit, got)
	}
}

func TestSIGTERMBeforeThereIsAnInputEndsTheAgent(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "ran")
	var asked atomic.Int32
	r := startAgentWith(t, &fake{unavailable: 1 << 30, onRequest: func(string) { asked.Add(1) }}, "touch "+mark, nil, func(cmd *exec.Cmd) { cmd.SysProcAttr = asInit() })
	for deadline := time.Now().Add(10 * time.Second); asked.Load() == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the agent does not ask for its input")
		}
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit := r.end(t); exit == 0 || exit == agentapi.ExitFinal {
		t.Errorf("exit %d, want one after which another attempt is made", exit)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the worker was run")
	}
}

func TestABrokenLogEndsNothing(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = reader.Close()
	defer func() { _ = writer.Close() }()
	r := startAgentWith(t, &fake{unavailable: 2}, `echo one >&2; sleep 0.1; echo two >&2; exit 3`, nil, func(cmd *exec.Cmd) { cmd.Stderr = writer })
	if exit := r.end(t); exit != 3 || r.fake.result == nil || !strings.Contains(r.fake.result.ErrorDetails, `one\ntwo`) {
		t.Errorf("exit %d, result %+v", exit, r.fake.result)
	}
}

func TestTheReceiptIsLeftBeforeTheDelivery(t *testing.T) {
	t.Parallel()
	var r *run
	var first agentapi.Receipt
	started := make(chan struct{})
	f := &fake{}
	f.onRequest = func(path string) {
		<-started
		if path == agentapi.ResultPath {
			first = r.receipt(t)
		}
	}
	r = startAgent(t, f, `echo {} >"$PROCESS_OUTPUT_FILE"`, nil)
	close(started)
	r.end(t)
	if first.Output != "{}\n" || first.Delivered || !r.receipt(t).Delivered {
		t.Errorf("at the delivery the receipt was %+v, and afterwards %+v", first, r.receipt(t))
	}
}

// appears waits for a file.
func appears(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not appear", filepath.Base(name))
		}
	}
}

func TestIgnoreErrors(t *testing.T) {
	reader, writer := io.Pipe()
	_ = reader.Close()
	if n, err := (ignoreErrors{writer}).Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if name := signalName(unix.SIGSEGV); name != "SIGSEGV" {
		t.Error(name)
	}
}
