// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/internal/agentapi"
)

// Config is the agent's settings.
type Config struct {
	// CollectorURL is the base URL of the operator's collector.
	CollectorURL string
	// TokenFile contains the token that proves which pod this is. It is read for each
	// request, because the kubelet renews it.
	TokenFile string
	// TerminationLog is the file of the receipt.
	TerminationLog string
	// Dir is the directory of the worker's four files.
	Dir string
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	// Delivery is how long the agent tries to deliver the result.
	Delivery time.Duration
	// OutputLimit is the maximum size of the output, in bytes.
	OutputLimit int64
	// Command is the worker's program and arguments.
	Command []string
	// Environ is the container's environment without the agent's own settings.
	Environ []string
}

// InputFile and ProgressFile are the paths of two of the worker's files.
func (c *Config) InputFile() string    { return filepath.Join(c.Dir, "input.json") }
func (c *Config) ProgressFile() string { return filepath.Join(c.Dir, "progress") }

func (c *Config) outputFile() string { return filepath.Join(c.Dir, "output.json") }
func (c *Config) errorFile() string  { return filepath.Join(c.Dir, "error.json") }

// ParseConfig reads the settings from the environment, and the worker's command from
// args, after an optional "--". The error names every setting that is absent or
// invalid.
func ParseConfig(args, environ []string) (Config, error) {
	settings := map[string]string{}
	c := Config{
		TokenFile:      agentapi.TokenFile,
		TerminationLog: agentapi.TerminationLog,
		Dir:            agentapi.ProcessDir,
	}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, agentapi.EnvPrefix) {
			settings[name] = value
		} else {
			c.Environ = append(c.Environ, entry)
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	c.Command = args

	var problems []error
	number := func(name string) int64 {
		n, err := strconv.ParseInt(settings[name], 10, 64)
		if err != nil || n < 1 {
			problems = append(problems, fmt.Errorf("%s is %q, expected a positive number", name, settings[name]))
		}
		return n
	}
	c.CollectorURL = strings.TrimSuffix(settings[agentapi.EnvCollectorURL], "/")
	if c.CollectorURL == "" {
		problems = append(problems, fmt.Errorf("%s is not set", agentapi.EnvCollectorURL))
	}
	c.Grace = time.Duration(number(agentapi.EnvGraceSeconds)) * time.Second
	c.Delivery = agentapi.DeliveryTimeout
	if settings[agentapi.EnvDeliverySeconds] != "" {
		c.Delivery = time.Duration(number(agentapi.EnvDeliverySeconds)) * time.Second
	}
	c.OutputLimit = number(agentapi.EnvOutputLimitBytes)
	if len(c.Command) == 0 {
		problems = append(problems, errors.New("no worker command, expected: agent -- COMMAND [ARGUMENT...]"))
	}
	return c, errors.Join(problems...)
}
