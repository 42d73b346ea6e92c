// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestWaitReapsAndReturns(t *testing.T) {
	child, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal)
	returned := make(chan struct{})
	go func() {
		wait(signals)
		close(returned)
	}()
	deadline := time.After(10 * time.Second)
	for syscall.Kill(child.Pid, 0) == nil { // a zombie exists, too
		select {
		case signals <- syscall.SIGCHLD:
		case <-deadline:
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
