// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"procman.dev/procman/internal/agentapi"
)

// program returns the beginning of this test's own program with changes at some offsets.
func program(t *testing.T, changes map[int][]byte) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for at, bytes := range changes {
		copy(text[at:], bytes)
	}
	return string(text)
}

// dynamic returns a small program for this machine that asks for a loader.
func dynamic(t *testing.T, loader string) string {
	t.Helper()
	const header, segment = 64, 56
	text := []byte(program(t, nil))[:header]
	binary.LittleEndian.PutUint64(text[32:], header) // where the segments are described
	binary.LittleEndian.PutUint64(text[40:], 0)      // no sections
	binary.LittleEndian.PutUint16(text[54:], segment)
	binary.LittleEndian.PutUint16(text[56:], 1) // segments
	for i := 58; i < 64; i++ {
		text[i] = 0
	}
	described := make([]byte, segment)
	binary.LittleEndian.PutUint32(described, 3) // PT_INTERP
	binary.LittleEndian.PutUint64(described[8:], header+segment)
	binary.LittleEndian.PutUint64(described[32:], uint64(len(loader)+1))
	binary.LittleEndian.PutUint64(described[40:], uint64(len(loader)+1))
	return string(text) + string(described) + loader + "\x00"
}

// What prevents a worker from running is named, and is final.
func TestCauses(t *testing.T) {
	t.Parallel()
	const arm = 183 // EM_AARCH64
	foreign := map[string]uint16{"amd64": arm, "arm64": 62}[runtime.GOARCH]
	for name, test := range map[string]struct {
		worker  string // the content of the file
		mode    os.FileMode
		command []string // WORKER is the file; it alone if nil
		want    []string // in the message
	}{
		"a script of Windows":                {worker: "#!/bin/sh\r\necho\r\n", want: []string{"end with carriage returns, as on Windows"}},
		"one with env":                       {worker: "#!/usr/bin/env sh\r\necho\r\n", want: []string{"end with carriage returns"}},
		"one with an option":                 {worker: "#!/bin/sh -e\r\necho\r\n", want: []string{"end with carriage returns"}},
		"one that a shell gets":              {worker: "set -e\r\nexit 3\r\n", mode: 0o644, command: []string{"sh", "WORKER"}, want: []string{"end with carriage returns"}},
		"one that a shell gets with options": {worker: "#!/bin/sh\r\nset -e\r\n", mode: 0o644, command: []string{"/bin/sh", "-eu", "WORKER", "-c"}, want: []string{"end with carriage returns"}},
		"an interpreter that is absent":      {worker: "#!/no/python3\nprint()\n", want: []string{"the interpreter of ", "/no/python3 does not exist"}},
		"env of one that is absent":          {worker: "#!/usr/bin/env -S A=1 no-such-python\nprint()\n", want: []string{"the interpreter of ", "there is no no-such-python in PATH"}},
		"no interpreter":                     {worker: "#!\necho\n", want: []string{"names no interpreter in its first line"}},
		"no first line":                      {worker: "echo hello\n", want: []string{"neither a program nor a script", "#!/bin/sh"}},
		"an empty file":                      {worker: "", want: []string{"neither a program nor a script"}},
		"an interpreter without #!":          {worker: "#!DIR/text\n", want: []string{"the interpreter of ", "neither a program nor a script"}},
		"not executable":                     {worker: "#!/bin/sh\n", mode: 0o644, want: []string{"user 0 may not execute ", "(mode 0644 of user 0): set its mode to 0755"}},
		"not executable, in PATH":            {worker: "#!/bin/sh\n", mode: 0o600, command: []string{"worker"}, want: []string{"may not execute ", "mode 0600"}},
		"a directory":                        {worker: "", command: []string{"/"}, want: []string{"/ is a directory"}},
		"nothing":                            {worker: "", command: []string{"/no/worker"}, want: []string{"/no/worker does not exist"}},
		"nothing in PATH":                    {worker: "", command: []string{"no-such-worker"}, want: []string{"no-such-worker", "not found in $PATH"}},
		"another architecture":               {worker: program(t, map[int][]byte{18: binary.LittleEndian.AppendUint16(nil, foreign)}), want: []string{"is a program for ", "and this node is ", "kubernetes.io/arch"}},
		"another C library":                  {worker: dynamic(t, "/lib/no-such-loader.so"), want: []string{"needs /lib/no-such-loader.so, which does not exist"}},
		"a damaged program":                  {worker: "\x7fELF and no more", want: []string{"is damaged"}},
		"a program for Windows":              {worker: "MZ\x90\x00", want: []string{"is a program for Windows"}},
		"a program for macOS":                {worker: "\xcf\xfa\xed\xfe\x07", want: []string{"is a program for macOS"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 && strings.Contains(strings.Join(test.want, ""), "user 0") {
				t.Skip("the test is not run by root")
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "worker")
			mode := cmp.Or(test.mode, 0o755)
			for name, text := range map[string]string{file: strings.ReplaceAll(test.worker, "DIR", dir), filepath.Join(dir, "text"): "text\n"} {
				if err := os.WriteFile(name, []byte(text), mode); err != nil {
					t.Fatal(err)
				}
			}
			command := []string{file}
			if test.command != nil {
				command = strings.Split(strings.ReplaceAll(strings.Join(test.command, " "), "WORKER", file), " ")
			}
			r := startAgentWith(t, &fake{}, "", func(c *Config) { c.Command = command }, func(cmd *exec.Cmd) {
				cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH")+":"+dir)
			})
			if exit := r.end(t); exit != agentapi.ExitFinal {
				t.Errorf("exit %d, want one after which there is no other attempt", exit)
			}
			got := r.fake.result
			if got == nil || got.ErrorCode != "WorkerFailed" || got.Retry {
				t.Fatalf("the result is %+v", got)
			}
			for _, want := range test.want {
				if !strings.Contains(got.ErrorDetails, want) {
					t.Errorf("the details are %s, want %q in them", got.ErrorDetails, want)
				}
			}
		})
	}
}

// A crash for another reason is tried again, although the script looks unusual.
func TestCrashesWithoutACause(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain":          "#!/bin/sh\nexit 3\n",
		"with env":       "#!/usr/bin/env sh\nexit 3\n",
		"returns inside": "#!/bin/sh\n# \r\nexit 3\n",
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if cause, permanent := crashCause([]string{file}); cause != "" || permanent {
			t.Errorf("%s: %q, permanent %t", name, cause, permanent)
		}
	}
	for _, command := range [][]string{{"sh", "-c", "exit 3\r\n"}, {"sh"}, {"cat", "/no/file"}} {
		if cause, permanent := crashCause(command); cause != "" || permanent {
			t.Errorf("%v: %q, permanent %t", command, cause, permanent)
		}
	}
}

// A directory that the user may not enter is named, and not the file in it. A worker that
// is started in such a directory may crash because of it.
func TestClosedDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("to become another user needs root")
	}
	dir := t.TempDir() // its parents are open
	closedDir := filepath.Join(dir, "root")
	if err := os.MkdirAll(filepath.Join(closedDir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	worker := filepath.Join(closedDir, "bin", "worker")
	if err := os.WriteFile(worker, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	causes := make(chan [2]string)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Chdir(closedDir))
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65532, 65532, 65532); err != nil || errno != 0 {
			t.Errorf("become another user: %v, %v", err, errno)
		}
		ofCrash, _ := crashCause([]string{"/bin/false"})
		causes <- [2]string{startCause(worker, syscall.EACCES), ofCrash}
	}()
	want := "user 65532 may not enter the directory " + closedDir + " (mode 0700 of user 0)"
	for _, got := range <-causes {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
