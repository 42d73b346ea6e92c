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

// patience is how long one command may take.
const patience = 3 * time.Minute

// loop runs what comes in on descriptor 3, command by command, and says the end of
// each, with its status, between two zero bytes. The commands see neither that
// descriptor nor a terminal.
const loop = `while IFS= read -r -d '' -u 3 command; do eval "$command" </dev/null 3<&-; printf '\0%d\0' $?; done`

// bash is a shell that keeps its variables and its directory from command to
// command.
type bash struct {
	process *exec.Cmd
	in      *os.File
	out     *bufio.Reader
	outPipe *os.File
}

// start starts a bash in a directory.
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
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // for stop to end what a page leaves running
	b := &bash{process: p, in: in, out: bufio.NewReader(out), outPipe: out}
	p.Cancel = b.kill
	err = p.Start()
	if err := errors.Join(err, commands.Close(), output.Close()); err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return b, nil
}

// run runs a command and returns what it has printed, and its exit status.
func (b *bash) run(command string) (output string, status int, err error) {
	if _, err := io.WriteString(b.in, command+"\x00"); err != nil {
		return "", 0, err
	}
	overdue := time.AfterFunc(patience, func() { _ = b.kill() })
	defer overdue.Stop()
	output, err = b.out.ReadString(0)
	if err != nil {
		return "", 0, fmt.Errorf("bash has ended, or been ended after %s; it printed:\n%s", patience, output)
	}
	end, err := b.out.ReadString(0)
	if err != nil {
		return "", 0, err
	}
	status, err = strconv.Atoi(strings.TrimSuffix(end, "\x00"))
	return strings.TrimSuffix(output, "\x00"), status, err
}

// stop ends the shell, and whatever its commands have left running.
func (b *bash) stop() {
	_ = b.kill()
	_ = b.process.Wait() // it was killed
	_ = b.in.Close()
	_ = b.outPipe.Close()
}

func (b *bash) kill() error { return syscall.Kill(-b.process.Process.Pid, syscall.SIGKILL) }
