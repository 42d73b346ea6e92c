// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command agent is PID 1 of a worker's container: agent -- COMMAND [ARGUMENT...].
// "agent install FILE", which the init container of a worker's pod runs, copies the agent
// to FILE. "agent version" prints the version.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"procman.dev/procman/agent"
	"procman.dev/procman/internal/agentapi"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(version())
		return
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)).With("from", "procman-agent"))
	if len(os.Args) == 3 && os.Args[1] == "install" {
		if err := install(os.Args[2]); err != nil {
			slog.Error("install the agent", "error", err)
			os.Exit(1)
		}
		return
	}
	config, err := agent.ParseConfig(os.Args[1:], os.Environ())
	if err != nil {
		slog.Error("read the settings", "error", err)
		os.Exit(agentapi.ExitFinal)
	}
	os.Exit(agent.Run(context.Background(), config))
}

// version returns the version of the module and of Go, as the build recorded them.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version + " " + info.GoVersion
	}
	return "unknown"
}

// install copies this program to target.
func install(target string) error {
	source, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, source); err != nil {
		return fmt.Errorf("copy to %s: %w", target, err)
	}
	return out.Close()
}
