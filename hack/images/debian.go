// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// suite is the Debian release of the images with an operating system.
const suite = "bookworm"

// systemVersion is part of the cache key. Increase it when the same packages give
// different contents.
const systemVersion = 4

// removed are files of a Debian system that no worker uses, or that depend on the
// machine and the day of the build.
var removed = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
	"usr/share/zoneinfo", "usr/share/fonts", "usr/share/X11", "usr/share/bash-completion",
	"var/cache", "var/lib/apt", "var/log",
	"etc/resolv.conf", "etc/hostname", "etc/shadow", "etc/shadow-", "etc/gshadow", "etc/gshadow-",
}

// debian returns the path of a tar of a minimal Debian system with the packages.
// The tar is built once and cached. After an interrupted build, there is no tar under
// its final name.
func debian(packages []string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	cache := filepath.Join(base, "procman", "images", "debian")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("create cache directory: %w", err)
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(systemVersion, suite, packages, removed)))
	final := filepath.Join(cache, hex.EncodeToString(sum[:6])+".tar")
	locked, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer func() { _ = locked.Close() }()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if os.Geteuid() != 0 {
		return "", errors.New("an image with a Debian system is built by mmdebstrap as root")
	}
	if err := installMmdebstrap(); err != nil {
		return "", err
	}
	fmt.Printf("  building a Debian system with %s (about a minute, once)\n", strings.Join(packages, ", "))
	start := time.Now()
	root := filepath.Join(cache, "root")
	if err := os.RemoveAll(root); err != nil {
		return "", fmt.Errorf("remove the files of an interrupted run: %w", err)
	}
	defer func() { _ = os.RemoveAll(root) }()
	if err := makeSystem(root, packages, locked); err != nil {
		return "", err
	}
	// Sorted names and a fixed time, so that the same packages give the same bytes.
	if err := execute("tar", "--create", "--file", final+".tmp", "--directory", root, "--sort=name", "--mtime=@0",
		"--numeric-owner", "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "."); err != nil {
		return "", err
	}
	if err := os.Rename(final+".tmp", final); err != nil {
		return "", fmt.Errorf("rename system: %w", err)
	}
	fmt.Printf("  Debian system built in %.0f s\n", time.Since(start).Seconds())
	return final, nil
}

// makeSystem installs the system in the directory root: the packages, what they need,
// and Debian's essential packages, with security updates. mmdebstrap takes less than
// half of the CPU time of debootstrap (docs/adr/0027-the-first-run.md). It runs in a
// mount namespace of its own, so that nothing stays mounted if it is interrupted. It
// inherits the lock's file, so that the lock is not released before it ends.
func makeSystem(root string, packages []string, locked *os.File) error {
	cmd := exec.Command("unshare", "--mount", "mmdebstrap", "--quiet", "--mode=root", "--variant=essential",
		"--dpkgopt=force-unsafe-io", // an interrupted build starts again
		// /bin and /lib are links into /usr from the start. Otherwise the package usrmerge
		// makes them so, which needs Perl.
		"--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
		"--include=usr-is-merged,"+strings.Join(packages, ","), suite, root)
	cmd.ExtraFiles = []*os.File{locked}
	if err := runCommand(cmd); err != nil {
		return err
	}
	for _, name := range removed {
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	for name, mode := range map[string]os.FileMode{".": 0o755, "var/cache": 0o755, "var/log": 0o755} {
		if err := os.MkdirAll(filepath.Join(root, name), mode); err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			return fmt.Errorf("set the mode of %s: %w", name, err)
		}
	}
	return nil
}

func installMmdebstrap() error {
	if _, err := exec.LookPath("mmdebstrap"); err == nil {
		return nil
	}
	fmt.Println("  installing Debian package: mmdebstrap")
	if err := execute("apt-get", "update", "-qq"); err != nil {
		return err
	}
	return execute("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap")
}

// lock waits until it has locked the file. The lock lasts until the file is closed.
// Without it, two runs would overwrite each other's files.
func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

func execute(command ...string) error { return runCommand(exec.Command(command[0], command[1:]...)) }

// runCommand runs a command. Its error includes the end of the command's output.
func runCommand(cmd *exec.Cmd) error {
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", strings.Join(cmd.Args, " "), err, output[max(0, len(output)-2000):])
	}
	return nil
}
