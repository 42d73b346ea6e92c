package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// loadImages brings images onto the node.
func loadImages(o options) error {
	c, err := running(o.name)
	if err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, path := range o.args {
		if err := c.importImage(path); err != nil {
			return err
		}
	}
	return nil
}

// importImage imports a tarball into containerd, unless it did before.
func (c *cluster) importImage(path string) error {
	sum, err := fileSum(path)
	if err != nil {
		return fmt.Errorf("read image %s: %w", path, err)
	}
	seen := map[string]string{}
	if text, err := os.ReadFile(c.file("images.json")); err == nil {
		_ = json.Unmarshal(text, &seen) // a broken record only costs another import
	}
	if seen[filepath.Base(path)] == sum {
		return nil
	}
	start := time.Now()
	if err := c.forgetTags(path); err != nil {
		return err
	}
	if err := c.ctr("images", "import", "--snapshotter", "overlayfs", "--local", path); err != nil {
		return err
	}
	fmt.Printf("  image %s loaded in %.1f s\n", filepath.Base(path), time.Since(start).Seconds())
	seen[filepath.Base(path)] = sum
	text, err := json.Marshal(seen)
	if err != nil {
		return fmt.Errorf("encode record of images: %w", err)
	}
	return os.WriteFile(c.file("images.json"), text, 0o644)
}

// forgetTags removes the names that the tarball is about to give anew: of a name
// that is moved to another image while it is there, the kubelet's side of
// containerd keeps the old meaning.
func (c *cluster) forgetTags(path string) error {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		return fmt.Errorf("read image %s: %w", path, err)
	}
	for _, image := range manifest {
		if len(image.RepoTags) == 0 {
			continue
		}
		if err := c.ctr(append([]string{"images", "remove", "--sync"}, image.RepoTags...)...); err != nil {
			return err
		}
	}
	return nil
}

// ctr runs containerd's own client where Kubernetes' images are.
func (c *cluster) ctr(args ...string) error {
	command := append([]string{"--address", c.file("containerd.sock"), "--namespace", "k8s.io"}, args...)
	output, err := exec.Command(binaryPath("ctr"), command...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %v: %w: %s", args, err, bytes.TrimSpace(output))
	}
	return nil
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// ownImages assembles the images of the cluster itself: pause and CoreDNS.
func (c *cluster) ownImages() ([]string, error) {
	pause := c.file("pause")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", pause, "./pause")
	cmd.Dir, cmd.Env = filepath.Dir(partsDir), append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build pause: %w: %s", err, output)
	}
	var tarballs []string
	for image, binary := range map[string]string{"pause": pause, "coredns": binaryPath("coredns")} {
		path := c.file(image + ".tar")
		if err := assemble(path, "procman.local/"+image+":local", binary); err != nil {
			return nil, fmt.Errorf("assemble image %s: %w", image, err)
		}
		tarballs = append(tarballs, path)
	}
	return tarballs, nil
}

// assemble writes an image of one static binary, which is its entrypoint.
func assemble(path, reference, binary string) error {
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	entrypoint := "/" + filepath.Base(binary)
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: entrypoint[1:], Mode: 0o755, Size: int64(len(program))}); err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil }
	content, err := tarball.LayerFromOpener(opener)
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{entrypoint}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, image)
}
