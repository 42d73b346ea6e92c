// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// loadImages loads images into the node's image store.
func loadImages(o options) error {
	if err := requireRoot(); err != nil {
		return err
	}
	if len(o.args) == 0 {
		return errors.New("expected one or more tarballs, in the format of docker save")
	}
	if c, err := open(o.name); err != nil {
		return err
	} else if !c.exists() {
		return c.notRunning()
	}
	c, unlock, err := openLockedCluster(o.name)
	if err != nil {
		return err
	}
	defer unlock()
	if !c.running() {
		return c.notRunning()
	}
	return c.importImages(o.args)
}

// imported records the import of one tarball.
type imported struct {
	// Sum is the SHA-256 of the tarball.
	Sum string
	// Images maps the name of each image in the tarball to its digest.
	Images map[string]string
}

// importImages imports tarballs into containerd. It skips a tarball if containerd
// still has the images of its last import.
func (c *cluster) importImages(paths []string) error {
	record := map[string]imported{} // by the tarball's name
	if text, err := os.ReadFile(c.file("images.json")); err == nil {
		_ = json.Unmarshal(text, &record) // an unreadable record only causes another import
	}
	present, err := c.images()
	if err != nil {
		return err
	}
	for _, path := range paths {
		start := time.Now()
		sum, err := fileSum(path)
		if err != nil {
			return fmt.Errorf("read image: %w", err)
		}
		key := filepath.Base(path)
		if record[key].Sum == sum && hasAll(present, record[key].Images) {
			continue
		}
		names, err := c.importImage(path)
		if err != nil {
			return err
		}
		if present, err = c.images(); err != nil {
			return err
		}
		images := map[string]string{}
		for _, name := range names {
			images[name] = present[name]
		}
		record[key] = imported{Sum: sum, Images: images}
		fmt.Printf("  image %s loaded in %.1f s\n", key, time.Since(start).Seconds())
	}
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode record of images: %w", err)
	}
	if err := os.WriteFile(c.file("images.json"), text, 0o644); err != nil {
		return fmt.Errorf("write record of images: %w", err)
	}
	return nil
}

// importImage imports a tarball and returns the names of the images in it. It
// removes these names first. Otherwise containerd's CRI plugin would keep the old
// digest of a name.
func (c *cluster) importImage(path string) (names []string, err error) {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", path, err)
	}
	for _, image := range manifest {
		for _, tag := range image.RepoTags {
			full, err := fullName(tag)
			if err != nil {
				return nil, err
			}
			names = append(names, full)
		}
	}
	if len(names) > 0 {
		if _, err := c.ctr(append([]string{"images", "remove", "--sync"}, names...)...); err != nil {
			return nil, err
		}
	}
	if _, err := c.ctr("images", "import", "--snapshotter", "overlayfs", "--local", path); err != nil {
		return nil, err
	}
	return names, nil
}

// fullName returns the name under which containerd stores an image.
func fullName(tag string) (string, error) {
	parsed, err := name.NewTag(tag)
	if err != nil {
		return "", fmt.Errorf("read image name: %w", err)
	}
	return strings.TrimPrefix(parsed.Name(), "index."), nil
}

// hasAll reports whether every wanted image is present with the wanted digest. It
// is false if no image is wanted.
func hasAll(present, wanted map[string]string) bool {
	for name, digest := range wanted {
		if digest == "" || present[name] != digest {
			return false
		}
	}
	return len(wanted) > 0
}

// images returns the digest of each image on the node, by name.
func (c *cluster) images() (map[string]string, error) {
	output, err := c.ctr("images", "ls")
	if err != nil {
		return nil, err
	}
	return imageList(output), nil
}

// imageList parses the table of "ctr images ls": REF, TYPE, DIGEST, ...
func imageList(table string) map[string]string {
	digests := map[string]string{}
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 2 && strings.HasPrefix(fields[2], "sha256:") {
			digests[fields[0]] = fields[2]
		}
	}
	return digests
}

// ctr runs containerd's client in the namespace of Kubernetes.
func (c *cluster) ctr(args ...string) (string, error) {
	command := append([]string{"--address", c.file("containerd.sock"), "--namespace", "k8s.io"}, args...)
	cmd := exec.Command(programPath("ctr"), command...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(output), nil
}

// containerdAnswers reports whether containerd answers requests.
func (c *cluster) containerdAnswers() bool {
	if !c.containerdReady() {
		return false
	}
	_, err := c.ctr("version")
	return err == nil
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

// ownImages returns the tarballs of the images that every cluster needs.
func (c *cluster) ownImages() []string { return []string{c.file("pause.tar"), c.file("coredns.tar")} }

// assembleImages builds the images of ownImages.
func (c *cluster) assembleImages() error {
	pause := c.file("pause")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", pause, "./pause")
	cmd.Dir = filepath.Dir(partsDir)
	cmd.Env = goEnv()
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build pause: %w: %s", err, output)
	}
	for _, path := range c.ownImages() {
		image := strings.TrimSuffix(filepath.Base(path), ".tar")
		file := pause
		if image == "coredns" {
			file = programPath(image)
		}
		if err := assemble(path, "procman.local/"+image+":local", file); err != nil {
			return fmt.Errorf("assemble image %s: %w", image, err)
		}
	}
	return nil
}

// assemble writes a tarball of an image that contains only one static program, which is
// its entrypoint.
func assemble(path, reference, file string) error {
	program, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	entrypoint := "/" + filepath.Base(file)
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
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Entrypoint: []string{entrypoint}},
	})
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(base, static.NewLayer(layer.Bytes(), types.DockerUncompressedLayer))
	if err != nil {
		return err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, image)
}
