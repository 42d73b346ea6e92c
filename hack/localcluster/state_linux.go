// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cluster is one cluster: its name, its directory and its recorded state.
type cluster struct {
	name string
	dir  string
	state
}

// state is what commands record about a cluster in state.json.
type state struct {
	// Slot, 0 to 255, is the third byte of the cluster's subnet.
	Slot int
	// Forwards are the ports that the node process serves on 127.0.0.1.
	Forwards forwards
	// PID and StartTime identify the node process. A PID alone can be reused.
	PID       int
	StartTime string
	// Started is when the node process started, by the wall clock.
	Started time.Time
}

// baseDir returns the absolute path of the directory with the state of all
// clusters.
func baseDir() string {
	if dir := os.Getenv("PROCMAN_LOCALCLUSTER_DIR"); dir != "" {
		if dir, err := filepath.Abs(dir); err == nil {
			return dir
		}
	}
	return defaultDir
}

// defaultDir is the state directory if PROCMAN_LOCALCLUSTER_DIR is not set.
const defaultDir = "/var/lib/procman-localcluster"

func newCluster(name string) *cluster {
	return &cluster{name: name, dir: filepath.Join(baseDir(), name)}
}

// open reads the state of a cluster. A cluster that does not exist has an empty
// state.
func open(name string) (*cluster, error) {
	c := newCluster(name)
	text, err := os.ReadFile(c.file("state.json"))
	if os.IsNotExist(err) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c.state)
	}
	if err != nil {
		return nil, fmt.Errorf("read the cluster's state: %w", err)
	}
	return c, nil
}

// save replaces the state file atomically.
func (c *cluster) save() error {
	text, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the cluster's state: %w", err)
	}
	if err := os.WriteFile(c.file("state.json.tmp"), text, 0o600); err != nil {
		return fmt.Errorf("write the cluster's state: %w", err)
	}
	if err := os.Rename(c.file("state.json.tmp"), c.file("state.json")); err != nil {
		return fmt.Errorf("replace the cluster's state: %w", err)
	}
	return nil
}

func (c *cluster) file(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

func (c *cluster) exists() bool {
	_, err := os.Stat(c.file("state.json"))
	return err == nil
}

func (c *cluster) kubeconfig() string { return c.file("kubeconfig") }
func (c *cluster) nodeName() string   { return "procman-" + c.name }

// cgroup returns the name of the cluster's cgroups. Clusters with the same name in
// different state directories must not share it, so it includes a hash of the
// directory unless that is the default.
func (c *cluster) cgroup() string {
	name := "procman-" + c.name
	if dir := filepath.Dir(c.dir); dir != defaultDir {
		sum := sha256.Sum256([]byte(dir))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// Each cluster has a subnet with two addresses: one of this machine and one of the node.
// Pods and Services have the same ranges in every cluster, because no cluster can reach
// another one.
func (c *cluster) hostIP() string { return fmt.Sprintf("10.213.%d.1", c.Slot) }
func (c *cluster) nodeIP() string { return fmt.Sprintf("10.213.%d.2", c.Slot) }
func (c *cluster) link() string   { return fmt.Sprintf("procman%d", c.Slot) }

const (
	podCIDR     = "10.244.0.0/24"
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1"  // of the Service kubernetes
	dnsIP       = "10.96.0.10" // of the Service kube-dns
)

// running reports whether the recorded node process is alive.
func (c *cluster) running() bool {
	return c.PID > 0 && c.StartTime != "" && startTime(c.PID) == c.StartTime
}

// startTime returns when a process started, in clock ticks since boot. It is empty
// if the process does not exist or is a zombie, see proc_pid_stat(5).
func startTime(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses; it can contain spaces
	// and parentheses. After it, the first field is the state, the 20th the start time.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
