package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// assemble writes the image to path, unless the one there is made of the same
// already. It reports whether it wrote.
func (r recipe) assemble(path, reference string) (changed bool, err error) {
	layers, binaries, err := r.ingredients()
	if err != nil {
		return false, err
	}
	key, err := r.key(reference, layers, binaries)
	if err != nil {
		return false, err
	}
	if last, err := os.ReadFile(path + ".key"); err == nil && string(last) == key {
		if _, err := os.Stat(path); err == nil {
			return false, nil
		}
	}
	image, err := r.image(layers, binaries)
	if err != nil {
		return false, err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return false, err
	}
	if err := tarball.WriteToFile(path+".tmp", tag, image); err != nil {
		return false, err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return false, err
	}
	return true, os.WriteFile(path+".key", []byte(key), 0o644)
}

// push puts the image into a registry.
func (r recipe) push(reference string) error {
	layers, binaries, err := r.ingredients()
	if err != nil {
		return err
	}
	image, err := r.image(layers, binaries)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	if err := remote.Write(tag, image, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return err
	}
	fmt.Println("  pushed", tag)
	return nil
}

// ingredients are the tar files of the layers below the programs, and the
// programs by their path in the image.
func (r recipe) ingredients() (layers []string, binaries map[string]string, err error) {
	if binaries, err = r.build(); err != nil || len(r.packages) == 0 {
		return nil, binaries, err
	}
	system, err := debian(r.packages)
	return []string{system}, binaries, err
}

// build builds the image's programs and returns where they are, by their path
// in the image.
func (r recipe) build() (map[string]string, error) {
	cache, err := cacheDir("bin")
	if err != nil {
		return nil, err
	}
	built := map[string]string{}
	for _, p := range r.programs {
		target := filepath.Join(cache, filepath.Base(p.path))
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", target, p.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if output, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", p.pkg, err, output)
		}
		built[p.path] = target
	}
	return built, nil
}

// key stands for all that the image is made of. A system layer's file name
// stands for its content.
func (r recipe) key(reference string, layers []string, binaries map[string]string) (string, error) {
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, reference, layers, r.entrypoint)
	for _, p := range r.programs {
		file, err := os.Open(binaries[p.path])
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintln(hash, p.path)
		_, err = io.Copy(hash, file)
		_ = file.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// image puts the layers together: the system first, what changes most last.
func (r recipe) image(layers []string, binaries map[string]string) (v1.Image, error) {
	image := empty.Image
	for _, file := range layers {
		layer, err := tarball.LayerFromFile(file, tarball.WithCompressionLevel(0))
		if err != nil {
			return nil, fmt.Errorf("read layer %s: %w", file, err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, err
		}
	}
	content, err := programLayer(r.programs, binaries)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	layer, err := tarball.LayerFromOpener(opener, tarball.WithCompressionLevel(0))
	if err != nil {
		return nil, err
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{
		Entrypoint: r.entrypoint,
		User:       "65532:65532",
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	return mutate.ConfigFile(image, config)
}

// programLayer is a tar of the programs and the directories they are in, with
// no time and no owner.
func programLayer(programs []program, binaries map[string]string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	var made []string
	for _, p := range programs {
		if dir := filepath.Dir(p.path); dir != "." && !slices.Contains(made, dir) {
			made = append(made, dir)
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
				return nil, err
			}
		}
		content, err := os.ReadFile(binaries[p.path])
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: p.path, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

// cacheDir is a directory that outlives runs.
func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	dir := filepath.Join(base, "procman", "images", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	return dir, nil
}
