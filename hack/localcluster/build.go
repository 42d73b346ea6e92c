package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// partsDir holds the go.mod and go.sum of every part: the one place that pins
// their versions. The Makefile sets it to an absolute path with -ldflags -X;
// as it stands it serves "go run ." in this directory. (Nested modules cannot
// be embedded.)
var partsDir = "parts"

// binary is one program of the cluster.
type binary struct {
	name, part, pkg string
}

// binaries are all of them, those that envtest needs first.
var binaries = []binary{
	{"etcd", "etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"},
	{"kubelet", "kubernetes", "k8s.io/kubernetes/cmd/kubelet"},
	{"kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"},
	{"kube-proxy", "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"},
	{"containerd", "containerd", "github.com/containerd/containerd/v2/cmd/containerd"},
	{"containerd-shim-runc-v2", "containerd", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
	{"ctr", "containerd", "github.com/containerd/containerd/v2/cmd/ctr"},
	{"bridge", "cni", "github.com/containernetworking/plugins/plugins/main/bridge"},
	{"loopback", "cni", "github.com/containernetworking/plugins/plugins/main/loopback"},
	{"host-local", "cni", "github.com/containernetworking/plugins/plugins/ipam/host-local"},
	{"portmap", "cni", "github.com/containernetworking/plugins/plugins/meta/portmap"},
	{"coredns", "coredns", "github.com/coredns/coredns"},
}

// envtestBinaries is how many of binaries envtest needs.
const envtestBinaries = 3

// kubernetesVersion is the pinned version, such as v1.37.2.
func kubernetesVersion() string {
	match := regexp.MustCompile(`k8s\.io/kubernetes (v\S+)`).FindSubmatch(partFile("kubernetes", "go.mod"))
	if match == nil {
		fail(fmt.Errorf("%s/kubernetes/go.mod does not name a version of k8s.io/kubernetes", partsDir))
	}
	return string(match[1])
}

// partFile reads a file that pins versions; without it nothing can be done.
func partFile(part, name string) []byte {
	text, err := os.ReadFile(filepath.Join(partsDir, part, name))
	if err != nil {
		fail(fmt.Errorf("read the pinned versions (run this in hack/localcluster): %w", err))
	}
	return text
}

// ldflags strips the binaries and tells those of Kubernetes their version,
// which their own build scripts would have done.
func ldflags() string {
	version := kubernetesVersion()
	numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
	const where = " -X k8s.io/component-base/version."
	return "-s -w" + where + "gitVersion=" + version + where + "gitMajor=" + numbers[0] + where + "gitMinor=" + numbers[1] + where + "gitTreeState=clean"
}

// cacheDir is where built binaries are kept, by version.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return filepath.Join(base, "procman", "localcluster"), nil
}

// partKey stands for everything that a part's binaries depend on.
func partKey(part string) string {
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		hash.Write(partFile(part, name))
	}
	_, _ = fmt.Fprint(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH, ldflags())
	return hex.EncodeToString(hash.Sum(nil))[:12]
}

// path is where the binary is, or will be once built.
func (b binary) path() string {
	cache, err := cacheDir()
	if err != nil {
		fail(err)
	}
	return filepath.Join(cache, b.part+"-"+partKey(b.part), b.name)
}

// binaryPath is the path of the binary of that name.
func binaryPath(name string) string {
	for _, b := range binaries {
		if b.name == name {
			return b.path()
		}
	}
	panic("no binary " + name)
}

func buildAll() error { return build(binaries) }

// build builds what is missing of the given binaries, one after the other, and
// shows how it gets on. A build that is cut off leaves nothing that could be
// taken for complete.
func build(wanted []binary) error {
	var missing []binary
	for _, b := range wanted {
		if _, err := os.Stat(b.path()); err != nil {
			missing = append(missing, b)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(cache, "build.lock"), "another build of the local cluster's binaries is under way; waiting for it")
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Printf("building the parts of the cluster that are not built yet: %d of %d (about ten minutes for all, once)\n", len(missing), len(binaries))
	for i, b := range missing {
		if err := b.build(filepath.Join(partsDir, b.part), fmt.Sprintf("[%d/%d]", i+1, len(missing))); err != nil {
			return err
		}
	}
	return nil
}

// build builds one binary in the directory of its part.
func (b binary) build(dir, position string) error {
	if _, err := os.Stat(b.path()); err == nil {
		return nil // whoever held the lock has built it
	}
	if err := os.MkdirAll(filepath.Dir(b.path()), 0o755); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	start := time.Now()
	tick := time.NewTicker(20 * time.Second)
	defer tick.Stop()
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-tick.C:
				fmt.Printf("  %s %s ... %d s\n", position, b.name, int(time.Since(start).Seconds()))
			case <-ended:
				return
			}
		}
	}()
	unfinished := b.path() + ".tmp"
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags(), "-o", unfinished, b.pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	output, err := cmd.CombinedOutput()
	close(ended)
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", b.name, err, output)
	}
	if err := os.Rename(unfinished, b.path()); err != nil {
		return fmt.Errorf("keep %s: %w", b.name, err)
	}
	fmt.Printf("  %s %s built in %d s\n", position, b.name, int(time.Since(start).Seconds()))
	return nil
}

// printAssets prints a directory with etcd, kube-apiserver and kubectl.
func printAssets(options) error {
	stdout := os.Stdout
	os.Stdout = os.Stderr // the directory alone goes to standard output
	defer func() { os.Stdout = stdout }()
	if err := build(binaries[:envtestBinaries]); err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "envtest-"+partKey("etcd")+"-"+partKey("kubernetes"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make assets directory: %w", err)
	}
	for _, b := range binaries[:envtestBinaries] {
		link := filepath.Join(dir, b.name)
		if err := os.Symlink(b.path(), link); err != nil && !os.IsExist(err) {
			return fmt.Errorf("link %s: %w", b.name, err)
		}
	}
	_, err = fmt.Fprintln(stdout, dir)
	return err
}
