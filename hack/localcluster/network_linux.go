// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// slots is the maximum number of clusters on a machine: the slot is one byte of a
// cluster's addresses.
const slots = 256

// claimSlot chooses a free subnet for a new cluster and records it. A lock keeps
// two new clusters from claiming the same one.
func (c *cluster) claimSlot() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("create the cluster's directory: %w", err)
	}
	base, err := os.Open(baseDir())
	if err != nil {
		return fmt.Errorf("choose a subnet: %w", err)
	}
	defer func() { _ = base.Close() }()
	if err := flock(base, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("choose a subnet: %w", err)
	}
	recorded, err := recordedSlots()
	if err != nil {
		return err
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("list this machine's addresses: %w", err)
	}
	c.Slot, err = lowestSlot(func(slot int) bool {
		candidate := &cluster{state: state{Slot: slot}}
		_, err := os.Stat(candidate.linkFile())
		return recorded[slot] || err == nil || candidate.overlaps(addresses)
	})
	if err != nil {
		return err
	}
	return c.save()
}

// lowestSlot returns the lowest slot that is not taken.
func lowestSlot(taken func(slot int) bool) (int, error) {
	for slot := range slots {
		if !taken(slot) {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("no subnet of 10.213.0.0/16 is free: %d clusters at most", slots)
}

// recordedSlots returns the slots of all clusters in the state directory, running
// or not.
func recordedSlots() (map[int]bool, error) {
	names, err := filepath.Glob(filepath.Join(baseDir(), "*", "state.json"))
	if err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	recorded := map[int]bool{}
	for _, name := range names {
		other, err := open(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, err
		}
		if other.exists() { // a concurrent down may have removed it
			recorded[other.Slot] = true
		}
	}
	return recorded, nil
}

// overlaps reports whether one of the addresses is in the cluster's subnet.
func (c *cluster) overlaps(addresses []net.Addr) bool {
	_, subnet, err := net.ParseCIDR(c.nodeIP() + "/24")
	if err != nil {
		panic(err) // the address is built from numbers, so it always parses
	}
	for _, address := range addresses {
		if ip, _, err := net.ParseCIDR(address.String()); err == nil && subnet.Contains(ip) {
			return true
		}
	}
	return false
}

func (c *cluster) linkFile() string { return "/sys/class/net/" + c.link() }

// foreignOwner returns the directory of the other cluster that owns the interface; "" if
// there is none. After a cluster has ended, a cluster in another
// PROCMAN_LOCALCLUSTER_DIR can claim the same slot.
func (c *cluster) foreignOwner() string {
	alias, err := os.ReadFile(filepath.Join(c.linkFile(), "ifalias"))
	if owner := strings.TrimSpace(string(alias)); err == nil && owner != c.dir {
		return owner
	}
	return ""
}

// disconnect removes the interface if it exists and belongs to this cluster.
func (c *cluster) disconnect() error {
	if _, err := os.Stat(c.linkFile()); err != nil || c.foreignOwner() != "" {
		return nil
	}
	// The kernel may remove it at the same time, together with the node's namespace.
	if err := run("ip", "link", "del", c.link()); err != nil {
		if _, statErr := os.Stat(c.linkFile()); statErr == nil {
			return err
		}
	}
	return nil
}

// connect connects this machine's network to the node's with a pair of interfaces.
// The kernel removes the pair together with the node's network namespace.
func (c *cluster) connect(pid int) error {
	if owner := c.foreignOwner(); owner != "" {
		return fmt.Errorf("interface %s belongs to the cluster in %s: run down for that cluster first", c.link(), owner)
	}
	if err := c.disconnect(); err != nil {
		return err
	}
	node := fmt.Sprint(pid)
	for _, command := range []string{
		"ip link add " + c.link() + " type veth peer name eth0 netns " + node,
		"ip addr add " + c.hostIP() + "/30 dev " + c.link(),
		"ip link set " + c.link() + " up",
	} {
		if err := run(strings.Fields(command)...); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(c.linkFile(), "ifalias"), []byte(c.dir), 0); err != nil {
		return fmt.Errorf("mark interface %s: %w", c.link(), err)
	}
	return nil
}

// setUpNetwork configures the node's end of the pair.
func (c *cluster) setUpNetwork() error {
	for _, command := range []string{
		"ip link set lo up",
		"ip addr add " + c.nodeIP() + "/30 dev eth0",
		"ip link set eth0 up",
		"ip route add default via " + c.hostIP(),
	} {
		if err := run(strings.Fields(command)...); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"net/ipv4/ip_forward": "1",
		// Pods can then reach Services of the node itself through the bridge.
		"net/ipv4/conf/all/route_localnet": "1",
	} {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
