// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// assemble builds the image's programs in the directory programs and writes the
// image to path. It writes nothing, and returns false, if the image at path has the
// same contents already.
func (r recipe) assemble(path, reference, programs string) (changed bool, err error) {
	p, err := r.build(programs)
	if err != nil {
		return false, err
	}
	key, err := r.key(reference, p)
	if err != nil {
		return false, err
	}
	if last, err := os.ReadFile(path + ".key"); err == nil && string(last) == key {
		if _, err := os.Stat(path); err == nil {
			return false, nil
		}
	}
	image, err := r.image(p, plain)
	if err != nil {
		return false, err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return false, fmt.Errorf("parse reference: %w", err)
	}
	if err := tarball.WriteToFile(path+".tmp", tag, image); err != nil {
		return false, fmt.Errorf("write image: %w", err)
	}
	// An image without a key is written again. So the old key is removed before the
	// image is replaced, in case this program is interrupted here.
	if err := os.Remove(path + ".key"); err != nil && !os.IsNotExist(err) {
		return false, fmt.Errorf("remove old key: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return false, fmt.Errorf("replace image: %w", err)
	}
	if err := os.WriteFile(path+".key", []byte(key), 0o644); err != nil {
		return false, fmt.Errorf("write key: %w", err)
	}
	return true, nil
}

// push writes the image to a registry, with the credentials of docker login.
func (r recipe) push(reference, programs string) error {
	p, err := r.build(programs)
	if err != nil {
		return err
	}
	image, err := r.image(p, compressed)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("parse reference: %w", err)
	}
	if err := remote.Write(tag, image, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("write to registry: %w", err)
	}
	fmt.Println("  pushed", tag)
	return nil
}

// layers are the contents of an image's layers, as tars.
type layers struct {
	// system is a file whose name is a hash of its contents; "" if the image has no
	// operating system.
	system   string
	programs []byte
}

// build builds the image's programs in dir, and its operating system if it has one.
func (r recipe) build(dir string) (l layers, err error) {
	for _, program := range r.programs {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program.in(dir), program.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOGC=200")
		if output, err := cmd.CombinedOutput(); err != nil {
			return layers{}, fmt.Errorf("build %s: %w\n%s", program.pkg, err, output)
		}
	}
	if l.programs, err = programLayer(r.programs, dir); err != nil {
		return layers{}, fmt.Errorf("pack programs: %w", err)
	}
	if len(r.packages) > 0 {
		l.system, err = debian(r.packages)
	}
	return l, err
}

// in returns the path of the built program in dir.
func (p program) in(dir string) string { return filepath.Join(dir, filepath.Base(p.path)) }

// programLayer returns a tar of the programs and their directories, without times
// and owners.
func programLayer(programs []program, dir string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	var written []string
	for _, p := range programs {
		if parent := filepath.Dir(p.path); parent != "." && !slices.Contains(written, parent) {
			written = append(written, parent)
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: parent + "/", Mode: 0o755}); err != nil {
				return nil, err
			}
		}
		content, err := os.ReadFile(p.in(dir))
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

// config returns how a container of the image starts.
func (r recipe) config() v1.Config {
	return v1.Config{
		Entrypoint: r.entrypoint,
		User:       "65532:65532",
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
}

// key returns a hash of everything that determines the image's contents.
func (r recipe) key(reference string, l layers) (string, error) {
	config, err := json.Marshal(r.config())
	if err != nil {
		return "", fmt.Errorf("encode config: %w", err)
	}
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s\n%s\n%s\n%s\n", reference, runtime.GOARCH, filepath.Base(l.system), config)
	_, _ = hash.Write(l.programs)
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// plain returns an uncompressed layer, which is faster to import on the same
// machine.
func plain(content []byte) (v1.Layer, error) {
	return static.NewLayer(content, types.DockerUncompressedLayer), nil
}

// compressed returns a compressed layer, for a registry.
func compressed(content []byte) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
}

// image assembles the layers. The programs, which change most often, are the last.
func (r recipe) image(l layers, layer func(content []byte) (v1.Layer, error)) (v1.Image, error) {
	contents := [][]byte{l.programs}
	if l.system != "" {
		system, err := os.ReadFile(l.system)
		if err != nil {
			return nil, fmt.Errorf("read system: %w", err)
		}
		contents = [][]byte{system, l.programs}
	}
	image := empty.Image
	for _, content := range contents {
		added, err := layer(content)
		if err != nil {
			return nil, fmt.Errorf("create layer: %w", err)
		}
		if image, err = mutate.AppendLayers(image, added); err != nil {
			return nil, fmt.Errorf("append layer: %w", err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config = "linux", runtime.GOARCH, r.config()
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("set config: %w", err)
	}
	return image, nil
}
