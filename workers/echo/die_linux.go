// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// signals are the signals that the worker can send to itself. The type's inputSchema
// has the same list.
var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL,
	"SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM,
}

// die ends the program with the named signal. It returns only if that fails.
func die(name string) error {
	number, ok := signals[name]
	if !ok {
		return fmt.Errorf("unknown signal %s", name)
	}
	// Go's own handler would convert SIGSEGV into an exit code, so the default action is
	// restored. It is all zeros on every architecture. The kernel returns an error for
	// SIGKILL, which can be ignored.
	var action [64]byte
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(number), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	if err := syscall.Kill(syscall.Getpid(), number); err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	time.Sleep(time.Second) // until the signal arrives
	return fmt.Errorf("the signal %s had no effect", name)
}
