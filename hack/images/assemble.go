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

// assemble writes the image to path, unless the one there is made of the same
// already; its programs are built in the directory programs. It reports whether
// it wrote.
func (r recipe) assemble(path, reference, programs string) (changed bool, err error) {
	p, err := r.gather(programs)
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
	// The key goes first: cut off here, the next run writes the image again.
	if err := os.Remove(path + ".key"); err != nil && !os.IsNotExist(err) {
		return false, fmt.Errorf("remove last key: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return false, fmt.Errorf("keep image: %w", err)
	}
	if err := os.WriteFile(path+".key", []byte(key), 0o644); err != nil {
		return false, fmt.Errorf("keep key: %w", err)
	}
	return true, nil
}

// push puts the image into a registry, with the credentials that docker login
// keeps.
func (r recipe) push(reference, programs string) error {
	p, err := r.gather(programs)
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

// parts are the layers of an image, as tars.
type parts struct {
	system   string // a file, named by its content's key; "" for an image without
	programs []byte
}

// gather builds the image's programs in dir and makes its system, if it has one.
func (r recipe) gather(dir string) (p parts, err error) {
	for _, program := range r.programs {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program.in(dir), program.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if output, err := cmd.CombinedOutput(); err != nil {
			return parts{}, fmt.Errorf("build %s: %w\n%s", program.pkg, err, output)
		}
	}
	if p.programs, err = programLayer(r.programs, dir); err != nil {
		return parts{}, fmt.Errorf("pack programs: %w", err)
	}
	if len(r.packages) > 0 {
		p.system, err = debian(r.packages)
	}
	return p, err
}

// in is where the program is built.
func (p program) in(dir string) string { return filepath.Join(dir, filepath.Base(p.path)) }

// programLayer is a tar of the programs and the directories they are in, with
// no time and no owner.
func programLayer(programs []program, dir string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	var made []string
	for _, p := range programs {
		if parent := filepath.Dir(p.path); parent != "." && !slices.Contains(made, parent) {
			made = append(made, parent)
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

// config is how the image's containers start.
func (r recipe) config() v1.Config {
	return v1.Config{
		Entrypoint: r.entrypoint,
		User:       "65532:65532",
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
}

// key stands for all that the image is made of.
func (r recipe) key(reference string, p parts) (string, error) {
	config, err := json.Marshal(r.config())
	if err != nil {
		return "", fmt.Errorf("encode config: %w", err)
	}
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s\n%s\n%s\n%s\n", reference, runtime.GOARCH, filepath.Base(p.system), config)
	_, _ = hash.Write(p.programs)
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// plain is a layer that is not compressed: an import on the same machine is
// done sooner.
func plain(content []byte) (v1.Layer, error) {
	return static.NewLayer(content, types.DockerUncompressedLayer), nil
}

// compressed is a layer for a way over a network.
func compressed(content []byte) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
}

// image puts the layers together: the system first, what changes most last.
func (r recipe) image(p parts, layer func(content []byte) (v1.Layer, error)) (v1.Image, error) {
	contents := [][]byte{p.programs}
	if p.system != "" {
		system, err := os.ReadFile(p.system)
		if err != nil {
			return nil, fmt.Errorf("read system: %w", err)
		}
		contents = [][]byte{system, p.programs}
	}
	image := empty.Image
	for _, content := range contents {
		l, err := layer(content)
		if err != nil {
			return nil, fmt.Errorf("make layer: %w", err)
		}
		if image, err = mutate.AppendLayers(image, l); err != nil {
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
