// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cgroupRoot is the mount point of cgroup v2, or the directory of the mount points
// of the v1 hierarchies and possibly v2. Other mounts of cgroups are ignored.
const cgroupRoot = "/sys/fs/cgroup"

// cgroupMounts returns the mount points of this machine's cgroup hierarchies, v1
// and v2, from the text of /proc/self/mountinfo, see proc_pid_mountinfo(5).
func cgroupMounts(mountinfo string) []string {
	var roots []string
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(kind) == 0 || kind[0] != "cgroup" && kind[0] != "cgroup2" {
			continue
		}
		root := fields[4]
		if (root == cgroupRoot || filepath.Dir(root) == cgroupRoot) && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// cgroupDirs returns the cluster's cgroups, one in each hierarchy.
func (c *cluster) cgroupDirs() ([]string, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	roots := cgroupMounts(string(mountinfo))
	if len(roots) == 0 {
		return nil, errors.New("no cgroup file system is mounted in " + cgroupRoot)
	}
	for i := range roots {
		roots[i] = filepath.Join(roots[i], c.cgroup())
	}
	return roots, nil
}

// makeCgroups creates the cgroups that will contain all pods of the cluster.
func (c *cluster) makeCgroups() error {
	dirs, err := c.cgroupDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create cgroup: %w", err)
		}
		if err := delegateControllers(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// delegateControllers lets the children of a v2 cgroup use its controllers. It does
// nothing for v1. It fails with EBUSY if the cgroup has processes and is not the root
// of the machine, as in a container.
func delegateControllers(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read cgroup controllers: %w", err)
	}
	for controller := range strings.FieldsSeq(string(available)) {
		err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0)
		if err == nil || !slices.Contains([]string{"cpu", "memory", "pids"}, controller) {
			continue // the kubelet needs only these three
		}
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("delegate the cgroup controller %s: %w: in a container, move the processes in %s/cgroup.procs to a cgroup below it first", controller, err, dir)
		}
		return fmt.Errorf("delegate the cgroup controller %s: %w", controller, err)
	}
	return nil
}

// removeCgroups removes the cluster's cgroups, children first.
func (c *cluster) removeCgroups() error {
	dirs, err := c.cgroupDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		var inner []string
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				inner = append(inner, path)
			}
			return nil
		})
		slices.Reverse(inner)
		for _, path := range inner {
			if err := removeCgroup(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroup retries for 5 s, because processes that were just killed need time
// to leave their cgroup.
func removeCgroup(path string) error {
	var err error
	for range 50 {
		err = syscall.Rmdir(path)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroup %s: %w", path, err)
}
