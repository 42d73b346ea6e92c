// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestClusterThatIsCutOff starts a cluster, kills it, starts it again with its
// data, kills it again and removes it. Nothing of it may be left.
func TestClusterThatIsCutOff(t *testing.T) {
	t.Setenv("PROCMAN_LOCALCLUSTER_DIR", t.TempDir())
	program := filepath.Join(t.TempDir(), "localcluster")
	working, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	must(t, "go", "build", "-ldflags", "-X main.partsDir="+filepath.Join(working, "parts"), "-o", program, ".")
	const name = "cutoff"
	t.Cleanup(func() { _ = exec.Command(program, "down", "--name", name).Run() })
	before := leftovers(t)

	must(t, program, "up", "--name", name)
	c := opened(t, name)
	kubectl := func(args ...string) string {
		return must(t, append([]string{programPath("kubectl"), "--kubeconfig", c.kubeconfig()}, args...)...)
	}
	kubectl("create", "configmap", "kept", "--namespace=default", "--from-literal=a=b")
	// CoreDNS is ready, so pods reach the API server. Logs come from the kubelet.
	kubectl("logs", "--namespace=kube-system", "deployment/coredns")

	started := time.Now()
	if output := must(t, program, "up", "--name", name); !strings.Contains(output, "is up") || time.Since(started) > 10*time.Second {
		t.Errorf("up of a running cluster took %s: %s", time.Since(started), output)
	}

	cutOff(t, name)
	must(t, program, "up", "--name", name)
	c = opened(t, name)
	if got := kubectl("get", "configmap", "kept", "--namespace=default", "--output=jsonpath={.data.a}"); got != "b" {
		t.Errorf("the cluster's data is %q, want b", got)
	}

	must(t, program, "kill", "--name", name, "kube-scheduler")
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(must(t, program, "logs", "--name", name, "node"), "kube-scheduler ended"); {
		if time.Now().After(deadline) {
			t.Fatal("the component was not killed")
		}
		<-time.After(100 * time.Millisecond)
	}

	cutOff(t, name)
	must(t, program, "down", "--name", name)
	if after := leftovers(t); after != before {
		t.Errorf("left behind:\n%s\nbefore it was:\n%s", after, before)
	}
	if _, err := os.Stat("/sys/class/net/" + c.link()); !os.IsNotExist(err) {
		t.Errorf("the interface %s is still there: %v", c.link(), err)
	}
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("the cluster's directory is still there: %v", err)
	}
}

// cutOff kills the node process and waits until the kernel has killed the others.
func cutOff(t *testing.T, name string) {
	t.Helper()
	c := opened(t, name)
	if !c.running() {
		t.Fatal("the cluster does not run")
	}
	if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); strings.Contains(must(t, "ps", "-eo", "args"), c.dir); {
		if time.Now().After(deadline) {
			t.Fatal("processes of the cluster are still running")
		}
		<-time.After(100 * time.Millisecond)
	}
}

// leftovers lists what the clusters of this test could leave on this machine.
func leftovers(t *testing.T) string {
	t.Helper()
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var cgroups []string
	for _, root := range cgroupMounts(string(mountinfo)) {
		found, _ := filepath.Glob(filepath.Join(root, "procman-cutoff*"))
		cgroups = append(cgroups, found...)
	}
	mounts := 0
	for line := range strings.Lines(string(mountinfo)) {
		if strings.Contains(line, "cutoff") {
			mounts++
		}
	}
	return fmt.Sprintf("nftables: %s\ncgroups: %v\nmounts: %d", must(t, "nft", "list", "tables"), cgroups, mounts)
}

func opened(t *testing.T, name string) *cluster {
	t.Helper()
	c, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, command ...string) string {
	t.Helper()
	output, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, output)
	}
	return string(output)
}
