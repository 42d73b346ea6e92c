package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// running opens a cluster that must be up.
func running(name string) (*cluster, error) {
	c, err := open(name)
	if err != nil {
		return nil, err
	}
	if !c.running() {
		return nil, c.errDown()
	}
	return c, nil
}

// errDown says what became of a cluster that does not run, and what helps.
func (c *cluster) errDown() error {
	if c.exists() {
		return fmt.Errorf("cluster %s ended without down; its data is kept: resume it with up --name %s, or remove it with down --name %s", c.name, c.name, c.name)
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
		fmt.Printf("  http://127.0.0.1:%d leads to NodePort %d\n", port, c.Forwards[port])
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

// printLog prints a component's log; that of "node" holds the starts and ends
// of all others.
func printLog(o options) error {
	c, err := open(o.name)
	if err != nil {
		return err
	}
	if !c.exists() {
		return c.errDown()
	}
	component, err := c.chosen(o.args, "node")
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

// killComponent has the node's init kill a component, as the out-of-memory
// killer would. It is started again after a moment.
func killComponent(o options) error {
	c, err := running(o.name)
	if err != nil {
		return err
	}
	component, err := c.chosen(o.args)
	if err != nil {
		return err
	}
	// Opening waits for init to read, so this is not to create the pipe.
	pipe, err := os.OpenFile(c.file("kill"), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("ask the node to kill %s: %w", component, err)
	}
	defer func() { _ = pipe.Close() }()
	if _, err := fmt.Fprintln(pipe, component); err != nil {
		return fmt.Errorf("ask the node to kill %s: %w", component, err)
	}
	return nil
}

// chosen is the one component that the arguments name: one of the node's, or of
// more.
func (c *cluster) chosen(args []string, more ...string) (string, error) {
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
