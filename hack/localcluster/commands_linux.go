// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// running opens a cluster and returns an error if it does not run.
func running(name string) (*cluster, error) {
	c, err := open(name)
	if err != nil {
		return nil, err
	}
	if !c.running() {
		return nil, c.notRunning()
	}
	return c, nil
}

// notRunning returns the error for a cluster that does not run. Its text contains the
// commands that can solve the problem.
func (c *cluster) notRunning() error {
	if c.exists() {
		return fmt.Errorf("cluster %s was interrupted; its data is kept: start it again with up --name %s, or remove it with down --name %s", c.name, c.name, c.name)
	}
	return fmt.Errorf("cluster %s is not up; start it with up --name %s", c.name, c.name)
}

func status(o options) error {
	c, err := running(o.name)
	if err != nil {
		return err
	}
	health := "ready"
	if !c.apiReady()() {
		health = "not ready"
	}
	fmt.Printf("cluster %s is up: process %d, API server https://%s:6443 %s, KUBECONFIG=%s\n", c.name, c.PID, c.nodeIP(), health, c.kubeconfig())
	for _, port := range slices.Sorted(maps.Keys(c.Forwards)) {
		fmt.Printf("  http://127.0.0.1:%d forwards to NodePort %d\n", port, c.Forwards[port])
	}
	return nil
}

func printKubeconfig(o options) error {
	c, err := running(o.name)
	if err != nil {
		return err
	}
	fmt.Println(c.kubeconfig())
	return nil
}

// printLog prints the log of a component. The log of "node" lists when the other
// components ended.
func printLog(o options) error {
	c, err := open(o.name)
	if err != nil {
		return err
	}
	if !c.exists() {
		return c.notRunning()
	}
	component, err := c.componentArgument(o.args, "node")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.file("logs", component+".log"))
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	_, err = os.Stdout.Write(text)
	return err
}

// killComponent kills a component with SIGKILL, as the kernel does when memory runs
// out. Init then restarts it.
func killComponent(o options) error {
	c, err := running(o.name)
	if err != nil {
		return err
	}
	component, err := c.componentArgument(o.args)
	if err != nil {
		return err
	}
	// Without O_CREATE: init has created the pipe, and opening it waits for init.
	pipe, err := os.OpenFile(c.file("kill"), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("tell the node to kill %s: %w", component, err)
	}
	defer func() { _ = pipe.Close() }()
	if _, err := fmt.Fprintln(pipe, component); err != nil {
		return fmt.Errorf("tell the node to kill %s: %w", component, err)
	}
	return nil
}

// componentArgument returns the only argument. It must be the name of one of the node's
// components, or one of the names in more.
func (c *cluster) componentArgument(args []string, more ...string) (string, error) {
	names := more
	for _, component := range c.components() {
		names = append(names, component.name)
	}
	slices.Sort(names)
	if len(args) != 1 || !slices.Contains(names, args[0]) {
		return "", fmt.Errorf("expected one COMPONENT: %s", strings.Join(names, ", "))
	}
	return args[0], nil
}
