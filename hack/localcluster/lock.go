// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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

// lock locks the file. If another process has the lock, it prints waiting and
// waits. The kernel releases the lock when its process ends, even by kill -9. The file
// must not be removed while a process can wait for it: that process would then lock
// a file that no other process can open.
func lock(path, waiting string) (unlock func(), err error) {
	file, err := tryLock(path)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(os.Stderr, "%s (process %s, lock %s)\n", waiting, holder(path), path)
		file, err = openLocked(path, syscall.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}

// tryLock locks the file, or returns EWOULDBLOCK if another process has the lock.
// The caller must keep the file reachable: a collected file is closed, which
// releases the lock.
func tryLock(path string) (*os.File, error) { return openLocked(path, syscall.LOCK_EX|syscall.LOCK_NB) }

// openLocked opens and locks the file and writes this process's id into it.
func openLocked(path string, how int) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := flock(file, how); err != nil {
		_ = file.Close()
		return nil, err
	}
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	return file, nil
}

// flock calls flock(2) again if a signal interrupts it.
func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holder returns the process id that the holder of a lock wrote into it.
func holder(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}
