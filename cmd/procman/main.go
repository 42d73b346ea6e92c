// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command procman creates, runs and checks workers without a cluster.
package main

import (
	"os"

	"procman.dev/procman/authorkit"
)

func main() { os.Exit(authorkit.Main(os.Args[1:], os.Stdout, os.Stderr)) }
