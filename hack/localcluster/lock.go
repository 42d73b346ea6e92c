//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock takes the lock file, and says so when it has to wait for another
// process. The kernel gives the lock back when its holder ends, however it
// ends.
func lock(path, waiting string) (unlock func(), err error) {
	file, err := tryLock(path)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(os.Stderr, "%s (process %s, lock %s)\n", waiting, holder(path), path)
	}
	for errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
		file, err = openLocked(path, syscall.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}

// tryLock takes the lock file if nobody has it; EWOULDBLOCK if somebody does.
// The lock lasts as long as the file is open: keep it reachable.
func tryLock(path string) (*os.File, error) {
	for {
		file, err := openLocked(path, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
}

// openLocked opens and locks the file and leaves this process's id in it. A file
// that its last holder removed meanwhile locks nothing: that is ErrNotExist.
func openLocked(path string, how int) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err = flock(file, how); err == nil {
		err = same(file, path)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	return file, nil
}

// flock goes on after a signal.
func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// same says whether the open file is the one at path; ErrNotExist if not.
func same(file *os.File, path string) error {
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(mine, there) {
		return fs.ErrNotExist
	}
	return nil
}

// holder is the id that the holder of a lock left in it.
func holder(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}
