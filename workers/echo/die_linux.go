package main

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// signals are those that the worker can end itself by; the type's schema lists
// the same.
var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL,
	"SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM,
}

// die ends the program by the signal of that name; it returns only when it
// cannot.
func die(name string) error {
	number, ok := signals[name]
	if !ok {
		return fmt.Errorf("unknown signal %s", name)
	}
	// Go's own handler would turn a SEGV into an exit code. All zeros is the
	// kernel's default action, whatever a machine's order of the fields; that it
	// is refused for KILL does no harm.
	var action [64]byte
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(number), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	if err := syscall.Kill(syscall.Getpid(), number); err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	time.Sleep(time.Second) // for the signal to arrive
	return fmt.Errorf("the signal %s has done nothing", name)
}
