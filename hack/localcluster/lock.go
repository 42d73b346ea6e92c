//go:build unix

package main

import (
	"errors"
	"fmt"
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
		holder, _ := os.ReadFile(path)
		fmt.Fprintf(os.Stderr, "%s (process %s, lock %s)\n", waiting, strings.TrimSpace(string(holder)), path)
		file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err == nil {
			err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	sign(file)
	return func() { _ = file.Close() }, nil
}

// tryLock takes the lock file if nobody has it; EWOULDBLOCK if somebody does.
func tryLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, err
	}
	sign(file)
	return file, nil
}

// sign leaves the holder's process id in the lock file.
func sign(file *os.File) {
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
}
