// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestAssemble(t *testing.T) {
	program, image := filepath.Join(t.TempDir(), "pause"), filepath.Join(t.TempDir(), "pause.tar")
	if err := os.WriteFile(program, []byte("a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := assemble(image, "procman.local/pause:local", program); err != nil {
		t.Fatal(err)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(image) })
	if err != nil || len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"procman.local/pause:local"}) {
		t.Errorf("manifest is %+v, %v", manifest, err)
	}
	read, err := tarball.ImageFromPath(image, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := read.ConfigFile()
	if err != nil || !slices.Equal(config.Config.Entrypoint, []string{"/pause"}) || config.OS != "linux" {
		t.Errorf("configuration is %+v, %v", config, err)
	}
	files := mutate.Extract(read)
	defer func() { _ = files.Close() }()
	if content, err := io.ReadAll(files); err != nil || len(content) == 0 {
		t.Errorf("the image holds %d bytes, %v", len(content), err)
	}
}

func TestImageList(t *testing.T) {
	got := imageList(`REF                       TYPE                                       DIGEST        SIZE    PLATFORMS   LABELS
procman.local/pause:local application/vnd.oci.image.manifest.v1+json sha256:0123ab 2.8 MiB linux/amd64 io.cri-containerd.image=managed
`)
	if want := map[string]string{"procman.local/pause:local": "sha256:0123ab"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestHasAll(t *testing.T) {
	present := map[string]string{"a": "sha256:1", "b": "sha256:2"}
	for name, test := range map[string]struct {
		wanted map[string]string
		want   bool
	}{
		"there":         {map[string]string{"a": "sha256:1"}, true},
		"both there":    {map[string]string{"a": "sha256:1", "b": "sha256:2"}, true},
		"another one":   {map[string]string{"a": "sha256:9"}, false},
		"removed":       {map[string]string{"c": "sha256:3"}, false},
		"not on record": {map[string]string{"c": ""}, false},
		"never loaded":  {nil, false},
	} {
		if got := hasAll(present, test.wanted); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestFullName(t *testing.T) {
	for tag, want := range map[string]string{
		"procman.local/pause:local": "procman.local/pause:local",
		"busybox":                   "docker.io/library/busybox:latest",
		"me/tool:1":                 "docker.io/me/tool:1",
	} {
		if got, err := fullName(tag); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", tag, got, err, want)
		}
	}
}
