// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// down removes the lock file while other commands wait for it. They must not
// continue with a lock on the removed file.
func TestLockOfRemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	first, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan func())
	go func() {
		unlock, err := lock(path, "waiting, as it should")
		if err != nil {
			t.Error(err)
		}
		locked <- unlock
	}()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	unlock := <-locked
	defer unlock()
	if _, err := tryLock(path); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("the new file can be locked twice: %v", err)
	}
}
