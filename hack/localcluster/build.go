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
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// partsDir is the module that pins the version of every program of the cluster.
// The Makefile sets it to an absolute path with -ldflags -X; the value here is
// for "go run ." in this directory. (A nested module cannot be embedded.)
var partsDir = "parts"

// goFlags are the flags of every build in this repository, see the Makefile.
// Builds with the same flags share Go's build cache: what the product and
// Kubernetes both use is compiled once.
const goFlags = "-buildvcs=false -trimpath -gcflags=all=-dwarf=false"

// goEnv returns the environment of every build. With GOGC=200, the compiler uses more
// memory and takes a tenth less CPU time.
func goEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+goFlags, "GOGC=200", "GOWORK=off")
}

// containerdTags leave out plugins of containerd that the cluster does not use.
// They have no effect on other programs.
const containerdTags = "no_btrfs,no_devmapper,no_tracing,no_zfs"

// program is a program of the cluster.
type program struct {
	// name is the name of its file. If the name differs from the last element of pkg,
	// the file is a symbolic link to the program of the package.
	name string
	// part groups the programs that one go command builds.
	part string
	// pkg is the path of its Go package.
	pkg string
}

var programs = []program{
	{"etcd", "etcd", "./etcd"},
	{"kube-apiserver", "kubernetes", "./kubernetes"},
	{"kube-controller-manager", "kubernetes", "./kubernetes"},
	{"kube-proxy", "kubernetes", "./kubernetes"},
	{"kube-scheduler", "kubernetes", "./kubernetes"},
	{"kubelet", "kubernetes", "./kubernetes"},
	{"kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"},
	{"containerd", "containerd", "github.com/containerd/containerd/v2/cmd/containerd"},
	{"containerd-shim-runc-v2", "containerd", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
	{"ctr", "containerd", "github.com/containerd/containerd/v2/cmd/ctr"},
	{"bridge", "network", "github.com/containernetworking/plugins/plugins/main/bridge"},
	{"loopback", "network", "github.com/containernetworking/plugins/plugins/main/loopback"},
	{"host-local", "network", "github.com/containernetworking/plugins/plugins/ipam/host-local"},
	{"portmap", "network", "github.com/containernetworking/plugins/plugins/meta/portmap"},
	{"coredns", "network", "./coredns"},
}

// allParts are in the order in which they are built. Those that envtest needs
// are first.
var (
	allParts     = []string{"etcd", "kubernetes", "containerd", "network"}
	envtestParts = allParts[:2]
)

// kubernetesVersion returns the pinned version, such as v1.37.2.
func kubernetesVersion() string {
	match := regexp.MustCompile(`k8s\.io/kubernetes (v\S+)`).FindSubmatch(partsFile("go.mod"))
	if match == nil {
		fail(fmt.Errorf("%s/go.mod has no version of k8s.io/kubernetes", partsDir))
	}
	return string(match[1])
}

// partsFile reads a file of partsDir. No command works without it.
func partsFile(name string) []byte {
	text, err := os.ReadFile(filepath.Join(partsDir, name))
	if err != nil {
		fail(fmt.Errorf("read the pinned versions (run this in hack/localcluster): %w", err))
	}
	return text
}

// ldflags strips the programs and sets Kubernetes' version, as its own build
// scripts do.
func ldflags() string {
	version := kubernetesVersion()
	numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
	const where = " -X k8s.io/component-base/version."
	return "-s -w" + where + "gitVersion=" + version + where + "gitMajor=" + numbers[0] + where + "gitMinor=" + numbers[1] + where + "gitTreeState=clean"
}

// cacheDir returns the directory of all built programs.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return filepath.Join(base, "procman", "localcluster"), nil
}

// programsDir returns the directory of the programs of the pinned versions. Its
// name is a hash of everything that the programs depend on.
func programsDir() string {
	cache, err := cacheDir()
	if err != nil {
		fail(err)
	}
	hash := sha256.New()
	hash.Write(partsFile("go.mod"))
	hash.Write(partsFile("go.sum"))
	for _, p := range programs {
		if strings.HasPrefix(p.pkg, "./") {
			hash.Write(partsFile(p.pkg + "/main.go"))
		}
	}
	_, _ = fmt.Fprint(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH, goFlags, containerdTags, ldflags())
	return filepath.Join(cache, hex.EncodeToString(hash.Sum(nil))[:12])
}

// programPath returns the path of a program, which may not be built yet.
func programPath(name string) string {
	if !slices.ContainsFunc(programs, func(p program) bool { return p.name == name }) {
		panic("no program " + name)
	}
	return filepath.Join(programsDir(), name)
}

// built reports whether all programs of a part exist.
func built(part string) bool {
	return !slices.ContainsFunc(programs, func(p program) bool {
		_, err := os.Stat(programPath(p.name))
		return p.part == part && err != nil
	})
}

// build builds the parts that are missing, one after the other. If it is
// interrupted, there is no incomplete file under a program's name.
func build(parts []string) error {
	if !slices.ContainsFunc(parts, func(part string) bool { return !built(part) }) {
		return nil
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(cache, "build.lock"), "another process is building the local cluster's programs; waiting for it")
	if err != nil {
		return err
	}
	defer unlock()
	for _, part := range parts {
		if built(part) { // the process that had the lock before may have built it
			continue
		}
		start := time.Now()
		fmt.Printf("  building %s\n", part)
		if err := buildPart(part); err != nil {
			return fmt.Errorf("build %s: %w", part, err)
		}
		fmt.Printf("  %s built in %.0f s\n", part, time.Since(start).Seconds())
	}
	return nil
}

// buildPart builds the programs of a part in a temporary directory and then moves them
// to programsDir.
func buildPart(part string) error {
	dir := programsDir()
	unfinished := filepath.Join(dir, part+".tmp")
	if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(unfinished, 0o755)); err != nil {
		return err
	}
	args := []string{"build", "-tags", containerdTags, "-ldflags", ldflags(), "-o", unfinished}
	for _, p := range programs {
		if p.part == part && !slices.Contains(args, p.pkg) {
			args = append(args, p.pkg)
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = partsDir
	cmd.Env = goEnv()
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	for _, p := range programs {
		if file := path.Base(p.pkg); p.part == part && file != p.name {
			if err := os.Symlink(file, filepath.Join(unfinished, p.name)); err != nil {
				return err
			}
		}
	}
	files, err := os.ReadDir(unfinished)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Rename(filepath.Join(unfinished, file.Name()), filepath.Join(dir, file.Name())); err != nil {
			return err
		}
	}
	return os.Remove(unfinished)
}

// buildNamed builds the parts that the command line names, or all.
func buildNamed(o options) error {
	for _, part := range o.args {
		if !slices.Contains(allParts, part) {
			return fmt.Errorf("part is %q, expected one of %s", part, strings.Join(allParts, ", "))
		}
	}
	if len(o.args) == 0 {
		return build(allParts)
	}
	return build(o.args)
}

// printAssets prints the directory of the programs, after it has built those
// that envtest needs: etcd, kube-apiserver and kubectl.
func printAssets(options) error {
	stdout := os.Stdout
	os.Stdout = os.Stderr // standard output gets only the directory
	defer func() { os.Stdout = stdout }()
	if err := build(envtestParts); err != nil {
		return err
	}
	_, err := fmt.Fprintln(stdout, programsDir())
	return err
}
