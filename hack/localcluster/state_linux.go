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

// cluster is one named cluster: where its files are and what is known of it.
type cluster struct {
	name string
	dir  string
	state
}

// state is what is kept about a cluster between commands.
type state struct {
	// Slot sets this cluster's subnet apart from those of the others, 0 to 255.
	Slot int
	// Forwards are the ports served on 127.0.0.1.
	Forwards forwards
	// PID and StartTime name the node process: a pid alone may be reused.
	PID       int
	StartTime string
	// Started is when it began, by the clock that Kubernetes writes its times with.
	Started time.Time
}

// baseDir holds the state of all clusters of this machine, and is absolute.
func baseDir() string {
	if dir := os.Getenv("PROCMAN_LOCALCLUSTER_DIR"); dir != "" {
		if dir, err := filepath.Abs(dir); err == nil {
			return dir
		}
	}
	return defaultDir
}

// defaultDir is where the state is unless PROCMAN_LOCALCLUSTER_DIR says otherwise.
const defaultDir = "/var/lib/procman-localcluster"

// open reads what is known of a cluster; nothing, for one that is not there.
func open(name string) (*cluster, error) {
	c := &cluster{name: name, dir: filepath.Join(baseDir(), name)}
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

// save replaces the state whole, or not at all.
func (c *cluster) save() error {
	text, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the cluster's state: %w", err)
	}
	if err := os.WriteFile(c.file("state.json.tmp"), text, 0o600); err != nil {
		return fmt.Errorf("write the cluster's state: %w", err)
	}
	if err := os.Rename(c.file("state.json.tmp"), c.file("state.json")); err != nil {
		return fmt.Errorf("keep the cluster's state: %w", err)
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

// cgroup is the name of the cluster's cgroups. All directories of clusters share
// one tree of cgroups, so in another than the default it says which.
func (c *cluster) cgroup() string {
	name := "procman-" + c.name
	if dir := filepath.Dir(c.dir); dir != defaultDir {
		sum := sha256.Sum256([]byte(dir))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// The addresses of a cluster: a subnet of two between this machine and the
// node, by slot. Pods and Services have the same ranges in every cluster, since
// no cluster sees another's.
func (c *cluster) hostIP() string { return fmt.Sprintf("10.213.%d.1", c.Slot) }
func (c *cluster) nodeIP() string { return fmt.Sprintf("10.213.%d.2", c.Slot) }
func (c *cluster) link() string   { return fmt.Sprintf("procman%d", c.Slot) }

const (
	podCIDR     = "10.244.0.0/24"
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1"  // of the Service kubernetes
	dnsIP       = "10.96.0.10" // of the Service kube-dns
)

// running says whether the node process of the state is alive.
func (c *cluster) running() bool {
	return c.PID > 0 && c.StartTime != "" && startTime(c.PID) == c.StartTime
}

// startTime is when a process started, in the kernel's clock ticks since boot;
// empty when there is no such process or it is a zombie.
func startTime(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses, which may hold
	// anything. The first after it is the state, the twentieth the start time.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
