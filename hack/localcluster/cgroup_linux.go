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

// cgroupMounts are the roots of this machine's cgroup hierarchies, v1 and v2,
// from the text of /proc/self/mountinfo.
func cgroupMounts(mountinfo string) []string {
	var roots []string
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if ok && len(fields) > 4 && len(kind) > 0 && (kind[0] == "cgroup" || kind[0] == "cgroup2") {
			roots = append(roots, fields[4])
		}
	}
	return roots
}

// cgroupDirs are the cluster's own cgroups, one per hierarchy.
func (c *cluster) cgroupDirs() ([]string, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	roots := cgroupMounts(string(mountinfo))
	if len(roots) == 0 {
		return nil, errors.New("no cgroup file system is mounted")
	}
	for i := range roots {
		roots[i] = filepath.Join(roots[i], c.cgroup())
	}
	return roots, nil
}

// makeCgroups makes the cgroups that hold all the pods of the cluster.
func (c *cluster) makeCgroups() error {
	dirs, err := c.cgroupDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		// In v2 a parent hands its controllers down; v1 has no such file.
		parent := filepath.Dir(dir)
		available, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
		if err != nil {
			continue
		}
		for controller := range strings.FieldsSeq(string(available)) {
			err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0)
			if err != nil && slices.Contains([]string{"cpu", "memory", "pids"}, controller) {
				return fmt.Errorf("hand the cgroup controller %s down: %w", controller, err)
			}
		}
	}
	return nil
}

// removeCgroups removes them, inner ones first. Processes that were just killed
// may take a moment to leave.
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
