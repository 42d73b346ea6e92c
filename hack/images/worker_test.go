// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWorkerLayer(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, ".git", "objects"), 0o700),
		os.MkdirAll(filepath.Join(dir, "lib"), 0o700),
		os.WriteFile(filepath.Join(dir, ".git", "config"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(dir, "worker.py"), []byte("run"), 0o700),
		os.WriteFile(filepath.Join(dir, "lib", "words.py"), []byte("words"), 0o600),
		os.Symlink("lib/words.py", filepath.Join(dir, "link.py")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	layer, err := workerLayer(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(r)
		got = append(got, fmt.Sprintf("%s %o %s%s %d", h.Name, h.Mode, h.Linkname, content, h.ModTime.Unix()))
	}
	want := []string{"worker/ 755  0", "worker/lib/ 755  0", "worker/lib/words.py 644 words 0", "worker/link.py 777 lib/words.py 0", "worker/worker.py 755 run 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWorkerLayerRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a link out of it":     {func(dir string) error { return os.Symlink("../../etc/passwd", filepath.Join(dir, "l")) }, "is a link to ../../etc/passwd, which is not in"},
		"an absolute link":     {func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "l")) }, "is a link to /etc/passwd"},
		"a pipe":               {func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "p"), 0o600) }, "is not a file, a directory or a link"},
		"a directory too much": {func(dir string) error { return os.Remove(dir) }, "no such file or directory"},
		"too many bytes": {func(dir string) error {
			f, err := os.Create(filepath.Join(dir, "large"))
			return errors.Join(err, f.Truncate(maxWorkerBytes+1), f.Close())
		}, "more than 512 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := workerLayer(dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
