// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// readyTimeout is how long one part of a cluster may take to become ready.
const readyTimeout = 2 * time.Minute

// up starts the cluster if it does not run, and returns when it is ready. If an
// earlier run was interrupted, up removes what it left and keeps its data.
func up(o options) error {
	if err := requireRoot(); err != nil {
		return err
	}
	if err := build(allParts); err != nil {
		return err
	}
	if err := installPackages(); err != nil {
		return err
	}
	c, unlock, err := openLockedCluster(o.name)
	if err != nil {
		return err
	}
	defer unlock()
	started := time.Now()
	wasRunning := c.running()
	if wasRunning && len(o.forwards) > 0 && c.Forwards.String() != o.forwards.String() {
		return fmt.Errorf("cluster %s is up with --forward %q; run down first to change it", c.name, c.Forwards)
	}
	if !wasRunning {
		if err := c.start(o.forwards); err != nil {
			return err
		}
	}
	// This is also necessary if the cluster was running: the command that started it
	// may have been interrupted before this point.
	if err := c.makeReady(); err != nil {
		return fmt.Errorf("%w; the components' logs are in %s", err, c.file("logs"))
	}
	if wasRunning {
		fmt.Printf("cluster %s is up (KUBECONFIG=%s)\n", c.name, c.kubeconfig())
	} else {
		fmt.Printf("cluster %s is up after %.1f s (KUBECONFIG=%s)\n", c.name, time.Since(started).Seconds(), c.kubeconfig())
	}
	return nil
}

// openLockedCluster waits until no other command changes the cluster, and opens
// it. The caller must release the lock. The lock's file is not in the directory of the
// clusters, because down removes that directory.
func openLockedCluster(name string) (*cluster, func(), error) {
	unlock, err := lock("/run/"+newCluster(name).cgroup()+".lock", "another command is changing cluster "+name+"; waiting for it")
	if err != nil {
		return nil, nil, err
	}
	c, err := open(name)
	if err == nil && !c.running() {
		err = c.awaitRecord()
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return c, unlock, nil
}

// awaitRecord waits until a node process either has recorded itself or has ended.
// After an interrupted up there can be a node process that has done neither yet.
func (c *cluster) awaitRecord() error {
	if _, err := os.Stat(c.file("node.lock")); err != nil {
		return nil
	}
	return waitFor("the node process "+holder(c.file("node.lock")), 10*time.Second, func() bool {
		if now, err := open(c.name); err == nil && now.running() {
			c.state = now.state
			return true
		}
		file, err := tryLock(c.file("node.lock"))
		if err != nil {
			return false
		}
		_ = file.Close()
		return true
	})
}

// start starts a cluster that does not run.
func (c *cluster) start(f forwards) error {
	fmt.Printf("starting cluster %s: Kubernetes %s\n", c.name, kubernetesVersion())
	if err := c.removeLeftovers(); err != nil {
		return err
	}
	if !c.exists() {
		// A directory without a state file is left over from an interrupted down.
		if err := os.RemoveAll(c.dir); err != nil {
			return fmt.Errorf("remove the rest of an interrupted down: %w", err)
		}
		if err := c.claimSlot(); err != nil {
			return err
		}
	}
	c.Forwards, c.PID, c.StartTime = f, 0, ""
	if err := c.save(); err != nil {
		return err
	}
	if err := c.writeConfigs(); err != nil {
		return err
	}
	if err := c.assembleImages(); err != nil {
		return err
	}
	return c.startNode()
}

// startNode starts the node process and waits until it has recorded itself. The
// process keeps running after this command ends and its terminal closes.
func (c *cluster) startNode() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(c.file("logs", "node.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	_ = os.Remove(c.file("containerd.sock"))
	node := exec.Command(self, "node", "--name", c.name)
	node.Stdout, node.Stderr = log, log
	node.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := node.Start(); err != nil {
		return fmt.Errorf("start the node process: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	for {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(c.file("logs", "node.log"))
			return fmt.Errorf("the node process ended: %w: %s", err, strings.TrimSpace(string(text)))
		case <-time.After(20 * time.Millisecond):
		}
		if now, err := open(c.name); err == nil && now.running() {
			c.state = now.state
			return nil
		}
	}
}

// makeReady loads the cluster's own images into a running node, installs CoreDNS
// and waits until the API server answers, the node runs pods and DNS works.
func (c *cluster) makeReady() error {
	if err := waitFor("containerd", 30*time.Second, c.containerdAnswers); err != nil {
		return err
	}
	if err := c.importImages(c.ownImages()); err != nil {
		return err
	}
	if err := waitFor("the API server", readyTimeout, c.apiReady()); err != nil {
		return err
	}
	if err := c.kubectl("apply", "--filename", c.file("coredns.yaml")); err != nil {
		return err
	}
	if err := c.kubectl("apply", "--filename", c.file("volumes.yaml")); err != nil {
		return err
	}
	if err := waitFor("CoreDNS", readyTimeout, c.dnsReady); err != nil {
		return err
	}
	return waitFor("the service account default", readyTimeout, func() bool {
		return c.kubectl("get", "serviceaccount/default", "--namespace=default") == nil
	})
}

// dnsReady reports whether a pod of CoreDNS became ready since the node started.
// The API server can still list pods of an earlier run as ready.
func (c *cluster) dnsReady() bool {
	output, err := exec.Command(programPath("kubectl"), "--kubeconfig", c.kubeconfig(), "get", "pods", "--namespace=kube-system", "--selector=k8s-app=kube-dns",
		"--output", `jsonpath={range .items[*]}{range .status.conditions[?(@.type=="Ready")]}{.status}={.lastTransitionTime}{"\n"}{end}{end}`).Output()
	return err == nil && becameReady(string(output), c.Started)
}

// becameReady reports whether one of the conditions, each a line STATUS=TIME, is
// True and has been since the given time or later. Kubernetes records whole
// seconds.
func becameReady(conditions string, since time.Time) bool {
	for line := range strings.Lines(conditions) {
		at, ok := strings.CutPrefix(strings.TrimSpace(line), "True=")
		became, err := time.Parse(time.RFC3339, at)
		if ok && err == nil && !became.Before(since.Truncate(time.Second)) {
			return true
		}
	}
	return false
}

func (c *cluster) kubectl(args ...string) error {
	return run(append([]string{programPath("kubectl"), "--kubeconfig", c.kubeconfig()}, args...)...)
}

// waitFor waits until ready returns true. If that takes longer than timeout, the error
// contains what.
func waitFor(what string, timeout time.Duration, ready func() bool) error {
	for deadline := time.Now().Add(timeout); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s", what, timeout)
		}
	}
	return nil
}

// removeLeftovers stops the node if it runs, and removes the network interface and the
// cgroups. They can also be there after an interrupted run.
func (c *cluster) removeLeftovers() error {
	if c.running() {
		_ = syscall.Kill(c.PID, syscall.SIGKILL)
		for c.running() {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := c.awaitRecord(); err != nil { // the lock is free when the last thread has ended
		return err
	}
	if c.exists() {
		if err := c.disconnect(); err != nil {
			return err
		}
	}
	return c.removeCgroups()
}

// down stops the cluster and removes everything that it created.
func down(o options) error {
	if err := requireRoot(); err != nil {
		return err
	}
	c, unlock, err := openLockedCluster(o.name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.removeLeftovers(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove the cluster's directory: %w", err)
	}
	// The directory of all clusters is empty when the last one is removed.
	if err := os.Remove(baseDir()); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !os.IsNotExist(err) {
		return fmt.Errorf("remove the clusters' directory: %w", err)
	}
	fmt.Printf("cluster %s is down and removed\n", c.name)
	return nil
}
