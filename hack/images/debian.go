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

// systemVersion goes up when a system is made in another way from the same
// packages.
const systemVersion = 2

// dropped are parts of a Debian system that a worker has no use for, and those
// that tell of the machine and the day it was made on.
var dropped = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
	"usr/share/zoneinfo", "usr/share/fonts", "usr/share/X11", "usr/share/bash-completion",
	"usr/share/tesseract-ocr/5/tessdata/osd.traineddata",
	"var/cache", "var/lib/apt", "var/log",
	"etc/resolv.conf", "etc/hostname", "etc/shadow", "etc/shadow-", "etc/gshadow", "etc/gshadow-",
}

// debian returns the tar of a minimal Debian system with the packages, made once
// and kept. Only a complete one gets its final name.
func debian(packages []string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	cache := filepath.Join(base, "procman", "images", "debian")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(systemVersion, suite, packages, dropped)))
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
		return "", errors.New("an image with a Debian system is made by debootstrap, which needs root")
	}
	if err := installDebootstrap(); err != nil {
		return "", err
	}
	fmt.Printf("  making a Debian system with %s (about a minute, once)\n", strings.Join(packages, ", "))
	start := time.Now()
	root := filepath.Join(cache, "root")
	if err := os.RemoveAll(root); err != nil { // of a run that was cut off
		return "", fmt.Errorf("remove what an earlier run left: %w", err)
	}
	defer func() { _ = os.RemoveAll(root) }()
	if err := makeSystem(root, packages, locked); err != nil {
		return "", err
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

// makeSystem fills the directory root. The installation mounts what it needs in
// a mount namespace of its own, so that nothing stays mounted when it is cut
// off; and it holds the lock itself, should this program end before it.
func makeSystem(root string, packages []string, locked *os.File) error {
	cmd := exec.Command("unshare", "--mount", "debootstrap", "--variant=minbase",
		"--include="+strings.Join(packages, ","), suite, root)
	cmd.ExtraFiles = []*os.File{locked}
	if err := finish(cmd); err != nil {
		return err
	}
	for _, name := range dropped {
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
	}
	for name, mode := range map[string]os.FileMode{".": 0o755, "var/cache": 0o755, "var/log": 0o755} {
		if err := os.MkdirAll(filepath.Join(root, name), mode); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			return fmt.Errorf("open %s to all: %w", name, err)
		}
	}
	return nil
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

// lock waits for the lock file and holds it until it is closed. Two runs would
// make the same thing twice, and one over the other.
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

func execute(command ...string) error { return finish(exec.Command(command[0], command[1:]...)) }

// finish runs a command to its end and quotes the end of what it said when it
// fails.
func finish(cmd *exec.Cmd) error {
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", strings.Join(cmd.Args, " "), err, output[max(0, len(output)-2000):])
	}
	return nil
}
