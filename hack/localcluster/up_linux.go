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

// readyTimeout bounds the wait for a cluster to become ready.
const readyTimeout = 2 * time.Minute

// lock keeps two commands from changing one cluster at once.
func (c *cluster) lock() (func(), error) {
	return lock(filepath.Join(baseDir(), c.name+".lock"), "another command is at work on cluster "+c.name+"; waiting for it")
}

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
	c, err := open(o.name)
	if err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if c, err = open(o.name); err != nil { // as it is now that it is ours
		return err
	}
	start := time.Now()
	if c.running() {
		if c.Forwards.String() != o.forwards.String() && len(o.forwards) > 0 {
			return fmt.Errorf("cluster %s is up with --forward %s; run down first to change it", c.name, c.Forwards)
		}
		if err := c.waitReady(time.Time{}); err != nil {
			return err
		}
		fmt.Printf("cluster %s is up (KUBECONFIG=%s)\n", c.name, c.kubeconfig())
		return nil
	}
	if err := c.start(o.forwards); err != nil {
		return err
	}
	fmt.Printf("cluster %s is up after %.1f s (KUBECONFIG=%s)\n", c.name, time.Since(start).Seconds(), c.kubeconfig())
	return nil
}

// start brings up a cluster that does not run.
func (c *cluster) start(f forwards) error {
	fmt.Printf("starting cluster %s: Kubernetes %s\n", c.name, kubernetesVersion())
	if err := c.clearLeftovers(); err != nil {
		return err
	}
	if !c.exists() {
		slot, err := freeSlot()
		if err != nil {
			return err
		}
		c.Slot = slot
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return fmt.Errorf("make the cluster's directory: %w", err)
		}
	}
	c.Forwards, c.PID, c.StartTime = f, 0, ""
	if err := c.save(); err != nil {
		return err
	}
	if err := c.writeConfigs(); err != nil {
		return err
	}
	images, err := c.ownImages()
	if err != nil {
		return err
	}
	started := time.Now()
	if err := c.spawnNode(); err != nil {
		return err
	}
	if err := waitFor("containerd", 30*time.Second, c.containerdAnswers); err != nil {
		return c.explain(err)
	}
	for _, image := range images {
		if err := c.importImage(image); err != nil {
			return err
		}
	}
	if err := c.waitReady(started); err != nil {
		return c.explain(err)
	}
	return nil
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
		case <-ended:
			text, _ := os.ReadFile(c.file("logs", "node.log"))
			return fmt.Errorf("the node process ended: %s", strings.TrimSpace(string(text)))
		case <-time.After(20 * time.Millisecond):
		}
		if now, err := open(c.name); err == nil && now.running() {
			c.state = now.state
			return nil
		}
	}
}

// waitReady waits until the API server answers, the node takes pods and DNS
// works.
//
// What the API server says of node and pods from before since is from before the
// node's start, and does not count.
func (c *cluster) waitReady(since time.Time) error {
	if err := waitFor("the API server", readyTimeout, c.apiReady()); err != nil {
		return err
	}
	manifest := c.file("coredns.yaml")
	text, err := configs.ReadFile("config/coredns.yaml")
	if err != nil {
		return err
	}
	if err := os.WriteFile(manifest, text, 0o644); err != nil {
		return err
	}
	if err := c.kubectl("apply", "--filename", manifest); err != nil {
		return err
	}
	if err := waitFor("CoreDNS", readyTimeout, func() bool { return c.dnsReady(since) }); err != nil {
		return err
	}
	return waitFor("the service account default", readyTimeout, func() bool {
		return c.kubectl("get", "serviceaccount/default", "--namespace=default") == nil
	})
}

// dnsReady says whether a pod of CoreDNS became ready at since or later.
func (c *cluster) dnsReady(since time.Time) bool {
	output, err := exec.Command(binaryPath("kubectl"), "--kubeconfig", c.kubeconfig(), "get", "pods", "--namespace=kube-system", "--selector=k8s-app=kube-dns",
		"--output", `jsonpath={range .items[*]}{range .status.conditions[?(@.type=="Ready")]}{.status}={.lastTransitionTime}{"\n"}{end}{end}`).Output()
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(output)) {
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

func (c *cluster) containerdAnswers() bool { return c.containerdReady() && c.ctr("version") == nil }

// explain adds to an error where to look.
func (c *cluster) explain(err error) error {
	return fmt.Errorf("%w; the components' logs are in %s", err, c.file("logs"))
}

func waitFor(what string, timeout time.Duration, ready func() bool) error {
	for deadline := time.Now().Add(timeout); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s", what, timeout)
		}
	}
	return nil
}

// clearLeftovers ends what is left of a run that was cut off.
func (c *cluster) clearLeftovers() error {
	if c.running() {
		_ = syscall.Kill(c.PID, syscall.SIGKILL)
		for c.running() {
			time.Sleep(20 * time.Millisecond)
		}
	}
	// The node process's lock is free once its last thread is gone.
	if file, err := lockFree(c.file("node.lock")); err != nil {
		return err
	} else if file != nil {
		_ = file.Close()
	}
	if c.exists() {
		_ = exec.Command("ip", "link", "del", c.link()).Run()
	}
	return c.removeCgroups()
}

// lockFree waits a while for a lock whose holder is ending; nil when there is no
// such file.
func lockFree(path string) (*os.File, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, nil
	}
	var err error
	for range 100 {
		var file *os.File
		if file, err = tryLock(path); err == nil {
			return file, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("a node process of this cluster is running, but not the recorded one: %w", err)
}

// down ends the cluster and removes all it made.
func down(o options) error {
	if err := requireRoot(); err != nil {
		return err
	}
	c, err := open(o.name)
	if err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if c, err = open(o.name); err != nil {
		return err
	}
	if err := c.clearLeftovers(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove the cluster's directory: %w", err)
	}
	fmt.Printf("cluster %s is down; nothing of it is left\n", c.name)
	return nil
}

// running opens a cluster that must be up.
func running(name string) (*cluster, error) {
	c, err := open(name)
	if err != nil {
		return nil, err
	}
	if !c.running() {
		return nil, fmt.Errorf("cluster %s is not up; start it with: localcluster up --name %s", name, name)
	}
	return c, nil
}

func status(o options) error {
	c, err := running(o.name)
	if err != nil {
		return err
	}
	fmt.Printf("cluster %s is up: process %d, API server https://%s:6443, KUBECONFIG=%s\n", c.name, c.PID, c.nodeIP(), c.kubeconfig())
	for port, nodePort := range c.Forwards {
		fmt.Printf("  http://127.0.0.1:%d leads to NodePort %d\n", port, nodePort)
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

func printLog(o options) error {
	if len(o.args) != 1 {
		return errors.New("expected one COMPONENT, such as kubelet or node")
	}
	c, err := open(o.name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.file("logs", filepath.Base(o.args[0])+".log"))
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	_, err = os.Stdout.Write(text)
	return err
}

func killComponent(o options) error {
	if len(o.args) != 1 {
		return errors.New("expected one COMPONENT, such as kube-apiserver")
	}
	c, err := running(o.name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file("kill"), []byte(o.args[0]+"\n"), 0); err != nil {
		return fmt.Errorf("ask the node to kill %s: %w", o.args[0], err)
	}
	return nil
}
