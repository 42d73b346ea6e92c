// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// commandTimeout bounds one command.
const commandTimeout = 3 * time.Minute

// loop reads commands from descriptor 3, each ended by a zero byte, and runs them. After
// each command it prints the exit status between two zero bytes. The commands have
// no access to that descriptor or to a terminal.
const loop = `while IFS= read -r -d '' -u 3 command; do eval "$command" </dev/null 3<&-; printf '\0%d\0' $?; done`

// bash is a shell that keeps its variables and its directory between commands.
type bash struct {
	process *exec.Cmd
	in      *os.File
	out     *bufio.Reader
	outPipe *os.File
}

// start starts a bash in a directory, with env added to the environment.
func start(ctx context.Context, dir string, env map[string]string) (*bash, error) {
	commands, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, output, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, commands.Close(), in.Close())
	}
	p := exec.CommandContext(ctx, "bash", "--norc", "--noprofile", "-c", loop)
	p.Dir, p.Env = dir, os.Environ()
	for name, value := range env {
		p.Env = append(p.Env, name+"="+value)
	}
	p.Stdout, p.Stderr, p.ExtraFiles = output, output, []*os.File{commands}
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that stop can end everything that a page started
	b := &bash{process: p, in: in, out: bufio.NewReader(out), outPipe: out}
	p.Cancel = b.kill
	err = p.Start()
	if err := errors.Join(err, commands.Close(), output.Close()); err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return b, nil
}

// run runs a command and returns its output and its exit status.
func (b *bash) run(command string) (output string, status int, err error) {
	if _, err := io.WriteString(b.in, command+"\x00"); err != nil {
		return "", 0, err
	}
	timer := time.AfterFunc(commandTimeout, func() { _ = b.kill() })
	defer timer.Stop()
	output, err = b.out.ReadString(0)
	if err != nil {
		return "", 0, fmt.Errorf("bash ended, or was killed after %s; its output:\n%s", commandTimeout, output)
	}
	exit, err := b.out.ReadString(0)
	if err != nil {
		return "", 0, err
	}
	status, err = strconv.Atoi(strings.TrimSuffix(exit, "\x00"))
	return strings.TrimSuffix(output, "\x00"), status, err
}

// stop kills the shell and everything that its commands left running.
func (b *bash) stop() {
	_ = b.kill()
	_ = b.process.Wait() // it was killed
	_ = b.in.Close()
	_ = b.outPipe.Close()
}

func (b *bash) kill() error { return syscall.Kill(-b.process.Process.Pid, syscall.SIGKILL) }
