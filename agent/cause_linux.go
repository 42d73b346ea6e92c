// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// startCause explains why a program could not be started. The kernel uses one error
// number for several causes, so startCause looks for the cause in the program's file. If
// it finds none, the result is the text of err.
func startCause(program string, err error) string {
	path := locate(program)
	if path == "" {
		return err.Error()
	}
	if problem := executionProblem(path, 0); problem != "" {
		return problem
	}
	return err.Error()
}

// crashCause explains why a worker crashed, if the cause is the way in which it was
// started; "" otherwise. permanent means that every attempt will crash.
func crashCause(command []string) (cause string, permanent bool) {
	if _, problem := interpreter(locate(command[0])); problem != "" {
		return problem, true
	}
	if script := shellScript(command); strings.HasSuffix(firstLine(script), "\r") {
		return carriageReturns(script), true
	}
	if problem := deniedDirectory(absolute(".")); problem != "" {
		return "the worker crashed, perhaps because " + problem, false
	}
	return "", false
}

// absolute returns the absolute form of a path. Unlike filepath.Abs, it also works if the
// user may not enter the working directory.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	dir, err := unix.Getwd()
	if err != nil {
		return "/" // the working directory is unknown
	}
	return filepath.Join(dir, path)
}

// shellScript returns the script that a shell is started with; "" if the command is not a
// shell with a script.
func shellScript(command []string) string {
	if !slices.Contains([]string{"sh", "ash", "bash", "dash", "ksh"}, filepath.Base(command[0])) {
		return ""
	}
	for _, word := range command[1:] {
		if !strings.HasPrefix(word, "-") {
			return word
		}
		if strings.Contains(word, "c") { // -c: the next word is the script itself
			return ""
		}
	}
	return ""
}

// locate returns the path of a command: program itself if it contains a slash, or else the
// first file with that name in PATH, executable or not; "" if there is none in PATH.
func locate(program string) string {
	if strings.Contains(program, "/") {
		return program
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, program)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// maxInterpreters is the kernel's limit for an interpreter that is a script and has an
// interpreter itself, and so on.
const maxInterpreters = 4

// executionProblem returns what prevents the execution of a file; "" if nothing is found.
// interpreters is how many scripts led to this file.
func executionProblem(path string, interpreters int) string {
	path = absolute(path)
	if interpreters > maxInterpreters {
		return ""
	}
	if problem := deniedDirectory(filepath.Dir(path)); problem != "" {
		return problem
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return path + " does not exist"
	case err != nil:
		return ""
	case info.IsDir():
		return path + " is a directory"
	case unix.Access(path, unix.X_OK) != nil:
		return fmt.Sprintf("user %d may not execute %s (%s): set its mode to 0755 in the image", os.Getuid(), path, modeOf(info))
	}
	file, err := os.Open(path)
	if err != nil {
		return "" // it can be executed, but not read
	}
	defer func() { _ = file.Close() }()
	magic := make([]byte, 4)
	n, _ := io.ReadFull(file, magic)
	switch magic = magic[:n]; {
	case bytes.HasPrefix(magic, []byte("#!")):
		return scriptProblem(path, interpreters)
	case string(magic) == elf.ELFMAG:
		return programProblem(path, file)
	case bytes.HasPrefix(magic, []byte("MZ")):
		return path + " is a program for Windows, expected one for Linux"
	case slices.Contains([]string{"\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe"}, string(magic)):
		return path + " is a program for macOS, expected one for Linux"
	}
	return path + " is neither a program nor a script: a script begins with #! and its interpreter, such as #!/bin/sh"
}

// scriptProblem returns what prevents the execution of a script; "" if nothing is found.
func scriptProblem(path string, interpreters int) string {
	program, problem := interpreter(path)
	if problem != "" {
		return problem
	}
	if problem = executionProblem(program, interpreters+1); problem != "" {
		return "the interpreter of " + path + ": " + problem
	}
	return ""
}

// interpreter returns the program in the first line of a script, or what is wrong with
// that line. Both are "" for a file that is not a script.
func interpreter(path string) (program, problem string) {
	line := firstLine(path)
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	switch {
	case !strings.HasPrefix(line, "#!"):
		return "", ""
	case strings.HasSuffix(line, "\r"):
		return "", carriageReturns(path)
	case len(words) == 0:
		return "", path + " names no interpreter in its first line, expected one, such as #!/bin/sh"
	case filepath.Base(words[0]) != "env":
		return words[0], ""
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue // an option of env, or a variable
		}
		if locate(word) == "" {
			return "", "the interpreter of " + path + ": there is no " + word + " in PATH"
		}
		break
	}
	return words[0], ""
}

// programProblem returns what prevents the execution of an ELF program; "" if nothing is
// found. The agent itself shows which architecture this node has.
func programProblem(path string, file io.ReaderAt) string {
	program, err := elf.NewFile(file)
	if err != nil {
		return path + " is damaged: " + err.Error()
	}
	if own, err := elf.Open("/proc/self/exe"); err == nil {
		defer func() { _ = own.Close() }()
		if own.Machine != program.Machine {
			return fmt.Sprintf("%s is a program for %s, and this node is %s: build the image for this architecture, or set kubernetes.io/arch in template.nodeSelector",
				path, machine(program), machine(own))
		}
	}
	for _, segment := range program.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(segment.Open(), unix.PathMax))
		loader := strings.TrimRight(string(text), "\x00")
		if _, missing := os.Stat(loader); err == nil && errors.Is(missing, os.ErrNotExist) {
			return fmt.Sprintf("%s needs %s, which does not exist: it was built for another Linux distribution; link it statically, or use the image that it was built for", path, loader)
		}
	}
	return ""
}

// machine returns the name of a program's architecture, such as aarch64.
func machine(f *elf.File) string {
	return strings.ToLower(strings.TrimPrefix(f.Machine.String(), "EM_"))
}

// deniedDirectory describes the first directory of an absolute path that the user may not
// enter; "" if the user may enter all of them.
func deniedDirectory(dir string) string {
	if dir != "/" {
		if problem := deniedDirectory(filepath.Dir(dir)); problem != "" {
			return problem
		}
	}
	info, err := os.Stat(dir)
	if err != nil || unix.Access(dir, unix.X_OK) == nil {
		return ""
	}
	return fmt.Sprintf("user %d may not enter the directory %s (%s): set its mode to 0755 in the image, or use another one", os.Getuid(), dir, modeOf(info))
}

// modeOf describes the mode and the owner of a file.
func modeOf(info os.FileInfo) string {
	text := fmt.Sprintf("mode %04o", info.Mode().Perm())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprintf(" of user %d", stat.Uid)
	}
	return text
}

func carriageReturns(script string) string {
	return "the lines of the script " + script + " end with carriage returns, as on Windows: save it with the line endings of Linux"
}

// firstLine returns the first line of a file without its newline, at most the 256 bytes
// that the kernel reads; "" if the file cannot be read.
func firstLine(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, 256)
	n, _ := io.ReadFull(file, head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	return line
}
