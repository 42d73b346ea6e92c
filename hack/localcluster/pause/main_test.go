// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestWaitReapsAndReturns(t *testing.T) {
	child, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Skip(err)
	}
	signals := make(chan os.Signal)
	returned := make(chan struct{})
	go func() {
		wait(signals)
		close(returned)
	}()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		signals <- syscall.SIGCHLD
		if err := syscall.Kill(child.Pid, 0); errors.Is(err, syscall.ESRCH) { // not even a zombie
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the child was not reaped")
		}
	}
	select {
	case <-returned:
		t.Fatal("wait returned at SIGCHLD")
	default:
	}
	signals <- syscall.SIGTERM
	<-returned
}
