// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
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

// assemble builds the image's programs in the directory programs and writes the image to
// path. If the image at path is already the same, it writes nothing and returns false.
func (r recipe) assemble(path, reference, programs string) (changed bool, err error) {
	image, err := r.image(programs, uncompressed)
	if err != nil {
		return false, err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return false, fmt.Errorf("parse reference: %w", err)
	}
	// The configuration of an image names its layers, so its digest identifies both.
	digest, err := image.ConfigName()
	if err != nil {
		return false, fmt.Errorf("compute digest: %w", err)
	}
	if last, err := tarball.ImageFromPath(path, &tag); err == nil {
		if lastDigest, err := last.ConfigName(); err == nil && lastDigest == digest {
			return false, nil
		}
	}
	if err := tarball.WriteToFile(path+".tmp", tag, image); err != nil {
		return false, fmt.Errorf("write image: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return false, fmt.Errorf("replace image: %w", err)
	}
	return true, nil
}

// push writes the image to a registry, with the credentials of docker login.
func (r recipe) push(reference, programs string) error {
	image, err := r.image(programs, compressed)
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

// build builds the image's programs in dir, and its operating system if it has one.
// It returns the contents of the layers, as tars: the operating system, the programs, and
// the files of a worker. The layers that change most often come last.
func (r recipe) build(dir string) (layers [][]byte, err error) {
	if len(r.packages) > 0 {
		system, err := debian(r.packages)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(system)
		if err != nil {
			return nil, fmt.Errorf("read system: %w", err)
		}
		layers = append(layers, content)
	}
	for _, program := range r.programs {
		path, err := filepath.Abs(program.pathIn(dir))
		if err != nil {
			return nil, err
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, program.pkg)
		cmd.Dir = program.module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOGC=200")
		if output, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", program.pkg, err, output)
		}
	}
	content, err := programLayer(r.programs, dir)
	if err != nil {
		return nil, fmt.Errorf("pack programs: %w", err)
	}
	layers = append(layers, content)
	if r.worker != "" {
		if content, err = workerLayer(r.worker); err != nil {
			return nil, fmt.Errorf("pack %s: %w", r.worker, err)
		}
		layers = append(layers, content)
	}
	return layers, nil
}

// pathIn returns the path of the built program in dir.
func (p program) pathIn(dir string) string { return filepath.Join(dir, filepath.Base(p.path)) }

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
		content, err := os.ReadFile(p.pathIn(dir))
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

// uncompressed returns an uncompressed layer, which is imported faster on the same
// machine.
func uncompressed(content []byte) (v1.Layer, error) {
	return static.NewLayer(content, types.DockerUncompressedLayer), nil
}

// compressed returns a compressed layer, for a registry.
func compressed(content []byte) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
}

// image builds the image's contents, with the programs in dir, and assembles them.
func (r recipe) image(dir string, layer func(content []byte) (v1.Layer, error)) (v1.Image, error) {
	contents, err := r.build(dir)
	if err != nil {
		return nil, err
	}
	layers := make([]v1.Layer, len(contents))
	for i, content := range contents {
		if layers[i], err = layer(content); err != nil {
			return nil, fmt.Errorf("create layer: %w", err)
		}
	}
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: r.entrypoint,
			User:       "65532:65532",
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set config: %w", err)
	}
	image, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		return nil, fmt.Errorf("append layers: %w", err)
	}
	return image, nil
}
