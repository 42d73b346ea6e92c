package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readyTimeout bounds the wait for each part of a cluster to become ready.
const readyTimeout = 2 * time.Minute

// up starts the cluster if it does not run, and returns when it is ready. What
// a run that was cut off left behind is cleared first; its data is kept.
func up(o options) error {
	if err := requireRoot(); err != nil {
		return err
	}
	if err := buildAll(); err != nil {
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
	begun := time.Now()
	wasRunning := c.running()
	if wasRunning && len(o.forwards) > 0 && c.Forwards.String() != o.forwards.String() {
		return fmt.Errorf("cluster %s is up with --forward %q; run down first to change it", c.name, c.Forwards)
	}
	if !wasRunning {
		if err := c.start(o.forwards); err != nil {
			return err
		}
	}
	// An earlier up may have been cut off between any two of these steps.
	if err := c.makeReady(); err != nil {
		return fmt.Errorf("%w; the components' logs are in %s", err, c.file("logs"))
	}
	if wasRunning {
		fmt.Printf("cluster %s is up (KUBECONFIG=%s)\n", c.name, c.kubeconfig())
	} else {
		fmt.Printf("cluster %s is up after %.1f s (KUBECONFIG=%s)\n", c.name, time.Since(begun).Seconds(), c.kubeconfig())
	}
	return nil
}

// openLockedCluster waits until this command alone may change the cluster, and
// opens it as it is then.
func openLockedCluster(name string) (*cluster, func(), error) {
	unlock, err := lock(filepath.Join(baseDir(), name+".lock"), "another command is at work on cluster "+name+"; waiting for it")
	if err != nil {
		return nil, nil, err
	}
	c, err := open(name)
	if err == nil && !c.running() {
		err = c.settle()
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return c, unlock, nil
}

// settle waits for a node process that has not recorded itself yet, or is about
// to end: one that an up started which was cut off.
func (c *cluster) settle() error {
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
	if err := c.clearLeftovers(); err != nil {
		return err
	}
	if !c.exists() {
		// Without its state, what is there is the rest of a down that was cut off.
		if err := os.RemoveAll(c.dir); err != nil {
			return fmt.Errorf("clear the cluster's directory: %w", err)
		}
		if err := c.takeSlot(); err != nil {
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
	return c.spawnNode()
}

// spawnNode starts the node process and waits until it has recorded itself. It
// outlives this command and its terminal.
func (c *cluster) spawnNode() error {
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

// makeReady gives a running node what it needs and waits until the API server
// answers, the node takes pods and DNS works.
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
	manifest := c.file("coredns.yaml")
	text, err := configs.ReadFile("config/coredns.yaml")
	if err != nil {
		return err
	}
	if err := os.WriteFile(manifest, text, 0o644); err != nil {
		return fmt.Errorf("write CoreDNS's manifest: %w", err)
	}
	if err := c.kubectl("apply", "--filename", manifest); err != nil {
		return err
	}
	if err := waitFor("CoreDNS", readyTimeout, c.dnsReady); err != nil {
		return err
	}
	return waitFor("the service account default", readyTimeout, func() bool {
		return c.kubectl("get", "serviceaccount/default", "--namespace=default") == nil
	})
}

// dnsReady says whether a pod of CoreDNS became ready in this run of the node:
// what the API server remembers of earlier ones does not count.
func (c *cluster) dnsReady() bool {
	output, err := exec.Command(binaryPath("kubectl"), "--kubeconfig", c.kubeconfig(), "get", "pods", "--namespace=kube-system", "--selector=k8s-app=kube-dns",
		"--output", `jsonpath={range .items[*]}{range .status.conditions[?(@.type=="Ready")]}{.status}={.lastTransitionTime}{"\n"}{end}{end}`).Output()
	return err == nil && becameReady(string(output), c.Started)
}

// becameReady says whether one of the conditions, a line STATUS=TIME each, is
// True and turned so at since or later, to the second as Kubernetes counts.
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
	return run(append([]string{binaryPath("kubectl"), "--kubeconfig", c.kubeconfig()}, args...)...)
}

// waitFor asks until it is so. Its error says what was waited for.
func waitFor(what string, timeout time.Duration, ready func() bool) error {
	for deadline := time.Now().Add(timeout); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s", what, timeout)
		}
	}
	return nil
}

// clearLeftovers ends what is left of a run: of one that was cut off, or, for
// down, of the one that is up.
func (c *cluster) clearLeftovers() error {
	if c.running() {
		_ = syscall.Kill(c.PID, syscall.SIGKILL)
		for c.running() {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := c.settle(); err != nil { // its lock is free once its last thread is gone
		return err
	}
	if c.exists() {
		if err := c.disconnect(); err != nil {
			return err
		}
	}
	return c.removeCgroups()
}

// down ends the cluster and removes all it made.
func down(o options) error {
	if err := requireRoot(); err != nil {
		return err
	}
	c, unlock, err := openLockedCluster(o.name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.clearLeftovers(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove the cluster's directory: %w", err)
	}
	if err := os.Remove(c.dir + ".lock"); err != nil {
		return fmt.Errorf("remove the cluster's lock: %w", err)
	}
	// The last one takes the directory with it; others keep it from being empty.
	if err := os.Remove(baseDir()); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remove the clusters' directory: %w", err)
	}
	fmt.Printf("cluster %s is down; nothing of it is left\n", c.name)
	return nil
}
