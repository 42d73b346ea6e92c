// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCgroupMountsByMachine(t *testing.T) {
	for name, test := range map[string]struct {
		mountinfo string
		want      []string
	}{
		"v2": {
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			[]string{"/sys/fs/cgroup"},
		},
		"hybrid": {
			`31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`,
			[]string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"},
		},
		"v1 in a container, mounted twice and copied": {
			`90 80 0:29 /docker/abc /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory
91 80 0:29 /docker/abc /sys/fs/cgroup/memory rw master:9 - cgroup cgroup rw,memory
92 80 0:29 / /var/lib/other/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
`,
			[]string{"/sys/fs/cgroup/memory"},
		},
		"none":   {"22 27 0:21 / /proc rw - proc proc rw\n", nil},
		"broken": {"22 27\n\n - cgroup\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cgroupMounts(test.mountinfo); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDelegateControllers(t *testing.T) {
	v1 := t.TempDir()
	if err := delegateControllers(v1); err != nil {
		t.Errorf("v1: %v", err)
	}
	if entries, _ := os.ReadDir(v1); len(entries) > 0 {
		t.Errorf("v1: %v was written", entries)
	}

	v2 := t.TempDir()
	if err := os.WriteFile(filepath.Join(v2, "cgroup.controllers"), []byte("memory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(v2, "cgroup.subtree_control")
	if err := os.Mkdir(control, 0o700); err != nil { // a directory cannot be written
		t.Fatal(err)
	}
	if err := delegateControllers(v2); err == nil || !strings.Contains(err.Error(), "cgroup controller memory") {
		t.Errorf("v2, not writable: error %v, want one that names the controller", err)
	}
	if err := os.Remove(control); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(control, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := delegateControllers(v2); err != nil {
		t.Errorf("v2: %v", err)
	}
	if text, _ := os.ReadFile(control); string(text) != "+memory" {
		t.Errorf("v2: wrote %q, want +memory", text)
	}
}

// Clusters with the same name in two directories must not share cgroups.
func TestCgroupOfAnotherDirectory(t *testing.T) {
	t.Setenv("PROCMAN_LOCALCLUSTER_DIR", "")
	cgroup := func() string {
		c, err := open("doesnotexist")
		if err != nil {
			t.Fatal(err)
		}
		return c.cgroup()
	}
	if got := cgroup(); got != "procman-doesnotexist" {
		t.Errorf("in the default directory: %s", got)
	}
	t.Setenv("PROCMAN_LOCALCLUSTER_DIR", "/one")
	one := cgroup()
	t.Setenv("PROCMAN_LOCALCLUSTER_DIR", "/two")
	if two := cgroup(); one == two || one == "procman-doesnotexist" || two == "procman-doesnotexist" {
		t.Errorf("in two other directories: %s and %s", one, two)
	}
}
