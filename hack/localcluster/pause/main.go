// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause keeps the namespaces of a pod: it waits for SIGTERM, and reaps
// orphaned processes if the pod shares its PID namespace.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	wait(signals)
}

// wait reaps all ended children at each SIGCHLD, and returns at any other signal.
func wait(signals <-chan os.Signal) {
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
}
