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

// suite is the release of Debian that images with a system are made of.
const suite = "bookworm"

// dropped are parts of a Debian system that a worker has no use for.
var dropped = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
	"var/cache/apt", "var/lib/apt/lists", "var/log", "var/cache/debconf",
}

// debian returns the tar of a minimal Debian system with the packages, made once
// and kept. Only a complete one gets its final name.
func debian(packages []string) (string, error) {
	cache, err := cacheDir("debian")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(suite, packages, dropped)))
	final := filepath.Join(cache, hex.EncodeToString(sum[:6])+".tar")
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if os.Geteuid() != 0 {
		return "", errors.New("an image with a Debian system is made by debootstrap, which needs root")
	}
	if err := installDebootstrap(); err != nil {
		return "", err
	}
	fmt.Printf("  making a Debian system with %s (about a minute, once)\n", strings.Join(packages, ", "))
	start := time.Now()
	root, err := os.MkdirTemp(cache, "root-")
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(root) }()
	if err := execute("debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), suite, root); err != nil {
		return "", err
	}
	for _, dir := range dropped {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			return "", fmt.Errorf("drop %s: %w", dir, err)
		}
	}
	// Names in order and one time for all: the same packages, the same bytes.
	if err := execute("tar", "--create", "--file", final+".tmp", "--directory", root, "--sort=name", "--mtime=@0",
		"--numeric-owner", "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "."); err != nil {
		return "", err
	}
	if err := os.Rename(final+".tmp", final); err != nil {
		return "", fmt.Errorf("keep system: %w", err)
	}
	fmt.Printf("  Debian system made in %.0f s\n", time.Since(start).Seconds())
	return final, nil
}

func installDebootstrap() error {
	if _, err := exec.LookPath("debootstrap"); err == nil {
		return nil
	}
	fmt.Println("  installing Debian package: debootstrap")
	if err := execute("apt-get", "update", "-qq"); err != nil {
		return err
	}
	return execute("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends", "debootstrap")
}

// lock waits for the lock file; two runs would make the same system twice.
func lock(path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}

// execute runs a command and quotes the end of what it said when it fails.
func execute(command ...string) error {
	output, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command[0], err, output[max(0, len(output)-2000):])
	}
	return nil
}
