// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// small is an image that is built quickly.
var small = recipe{name: "echo-worker", programs: []program{{pkg: "../../workers/echo", path: "procman/echo-worker"}}, entrypoint: []string{"/procman/echo-worker"}}

func files(t *testing.T, image v1.Image) []string {
	t.Helper()
	var names []string
	for r := tar.NewReader(mutate.Extract(image)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func TestAssembleTwiceGivesTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	var contents [][]byte
	for _, name := range []string{"a.tar", "b.tar"} {
		path := filepath.Join(dir, name)
		for _, want := range []bool{true, false} { // the second time it is up to date
			if changed, err := small.assemble(path, "procman.local/echo-worker:dev", dir); err != nil || changed != want {
				t.Fatalf("assemble: changed %t, %v, want %t", changed, err, want)
			}
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, content)
	}
	if !bytes.Equal(contents[0], contents[1]) {
		t.Error("the tarballs differ")
	}
	image, err := tarball.ImageFromPath(filepath.Join(dir, "a.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil || config.Config.User != "65532:65532" {
		t.Errorf("it runs as %q, %v", config.Config.User, err)
	}
	if diff := cmp.Diff([]string{"procman", "procman/echo-worker"}, files(t, image)); diff != "" {
		t.Error(diff)
	}
}

// The agent is in every worker's container, often as a copy.
func TestAgentIsSmall(t *testing.T) {
	const limit = 8 << 20
	dir := t.TempDir()
	built := recipe{programs: []program{{pkg: "../../cmd/agent", path: agent.path}}}
	if _, err := built.build(dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(built.programs[0].pathIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > limit {
		t.Errorf("the agent has %d bytes, want at most %d", info.Size(), limit)
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/team/echo-worker:1"
	if err := small.push(reference, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	if got := files(t, image); len(got) != 2 {
		t.Errorf("the pushed image contains %v", got)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		if kind, err := layer.MediaType(); err != nil || kind != types.DockerLayer {
			t.Errorf("a layer was pushed as %s, %v, want it compressed", kind, err)
		}
	}
}

func TestAssembleWritesOnlyWhatChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tar")
	programs := t.TempDir()
	other := small
	other.entrypoint = []string{"/procman/echo-worker", "--other"}
	for _, step := range []struct {
		name      string
		recipe    recipe
		reference string
		before    func() error
		want      bool
	}{
		{"new", small, "procman.local/echo-worker:dev", nil, true},
		{"unchanged", small, "procman.local/echo-worker:dev", nil, false},
		{"another tag", small, "procman.local/echo-worker:next", nil, true},
		{"another entrypoint", other, "procman.local/echo-worker:next", nil, true},
		{"cut off", other, "procman.local/echo-worker:next", func() error { return os.Truncate(path, 1000) }, true},
		{"removed", other, "procman.local/echo-worker:next", func() error { return os.Remove(path) }, true},
	} {
		if step.before != nil {
			if err := step.before(); err != nil {
				t.Fatal(err)
			}
		}
		if changed, err := step.recipe.assemble(path, step.reference, programs); err != nil || changed != step.want {
			t.Errorf("%s: changed %t, %v, want %t", step.name, changed, err, step.want)
		}
	}
}

func TestChooseNamesTheImages(t *testing.T) {
	if _, err := choose([]string{"nothing"}); err == nil || !strings.Contains(err.Error(), "ocr-worker") {
		t.Errorf("got %v", err)
	}
	if chosen, err := choose([]string{"agent"}); err != nil || len(chosen) != 1 || chosen[0].name != "agent" {
		t.Errorf("got %+v, %v", chosen, err)
	}
}
