// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storetest has object stores for tests.
package storetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"procman.dev/procman/internal/store"
)

// Directory is a store in a directory.
type Directory struct {
	*store.Store
	t    testing.TB
	path string
}

// New returns a store in a new directory.
func New(t testing.TB) *Directory {
	t.Helper()
	d := &Directory{t: t, path: filepath.Join(t.TempDir(), "store")}
	s, err := store.Open(t.Context(), "file://"+d.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d.Store = s
	return d
}

// Files returns the content of each object by its key.
func (d *Directory) Files() map[string]string {
	d.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(d.path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, d.path+"/")] = string(content)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

// Overwrite replaces the content of every object.
func (d *Directory) Overwrite(content string) {
	d.t.Helper()
	for key := range d.Files() {
		if err := os.WriteFile(filepath.Join(d.path, key), []byte(content), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
}

// Break makes all calls fail, until Repair.
func (d *Directory) Break() {
	d.t.Helper()
	if err := os.Rename(d.path, d.path+".away"); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path, nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// Repair ends what Break began.
func (d *Directory) Repair() {
	d.t.Helper()
	if err := os.Remove(d.path); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(d.path+".away", d.path); err != nil {
		d.t.Fatal(err)
	}
}
