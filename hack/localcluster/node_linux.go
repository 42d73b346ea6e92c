// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runNode is the node process: the cluster runs as long as this process. It runs
// outside the node's namespaces. It starts "init" in new namespaces, connects the two
// networks, and serves the forwarded ports. When it ends, even by kill -9, the kernel
// kills init, and with it everything in the namespaces.
func runNode(o options) error {
	started := time.Now()
	c, err := open(o.name)
	if err != nil {
		return err
	}
	lockFile, err := tryLock(c.file("node.lock"))
	if err != nil {
		return fmt.Errorf("another node process of cluster %s is running: %w", c.name, err)
	}
	defer func() { _ = lockFile.Close() }() // keeps the file reachable: when it is garbage-collected, the lock is released
	if err := c.makeCgroups(); err != nil {
		return err
	}
	waiting, networkReady, err := os.Pipe()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	initProcess := exec.Command(self, "init", "--name", c.name)
	initProcess.Stdout, initProcess.Stderr = os.Stdout, os.Stderr
	initProcess.Stdin = waiting // closed when the network is connected
	initProcess.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := startLocked(initProcess); err != nil {
		return fmt.Errorf("start the node's init: %w", err)
	}
	if err := c.connect(initProcess.Process.Pid); err != nil {
		_ = initProcess.Process.Kill()
		return err
	}
	_ = networkReady.Close()
	if err := c.Forwards.serve(c.nodeIP()); err != nil {
		_ = initProcess.Process.Kill()
		return err
	}
	c.PID, c.StartTime, c.Started = os.Getpid(), startTime(os.Getpid()), started
	if err := c.save(); err != nil {
		_ = initProcess.Process.Kill()
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		_ = initProcess.Process.Kill()
	}()
	return initProcess.Wait()
}

// startLocked starts a command from a thread that never ends: the kernel sends
// Pdeathsig when the thread that started the child ends, not the process.
func startLocked(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		// This goroutine never unlocks the thread and never returns.
		runtime.LockOSThread()
		started <- cmd.Start()
		select {}
	}()
	return <-started
}

// run runs a command. Its error includes the command's output.
func run(command ...string) error {
	output, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// requireRoot returns an error unless this process is root.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return errUnsupported
	}
	return nil
}

// debianPackages maps each program that the cluster needs to its Debian package.
var debianPackages = map[string]string{
	"runc": "runc", "nft": "nftables", "conntrack": "conntrack", "ip": "iproute2",
}

// installPackages installs the Debian packages whose program is missing.
func installPackages() error {
	var missing []string
	for program, name := range debianPackages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install these packages, because this machine has no apt-get: %s", strings.Join(missing, ", "))
	}
	fmt.Println("installing Debian packages:", strings.Join(missing, " "))
	if err := run("apt-get", "update", "-qq"); err != nil {
		fmt.Println("  apt-get update failed; using the package lists of this machine:", errors.Unwrap(err))
	}
	install := append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends"}, missing...)
	return run(install...)
}
