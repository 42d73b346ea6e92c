// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scaffold creates the project of a new worker from a template.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/util/validation"
)

// templates contains one directory for each template. The names of the files end with
// .tmpl, so that Go's tools do not treat them as part of this module.
//
//go:embed all:templates
var templates embed.FS

const (
	root   = "templates"
	suffix = ".tmpl"
)

// Templates returns the names of the templates, sorted.
func Templates() []string {
	entries, _ := templates.ReadDir(root) // cannot fail: the directory is embedded
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Write creates the project of a worker from a template, in dir, and returns the names of
// its files, sorted. It creates dir if necessary. If one of the files already exists, it
// writes nothing, and the error has the name of that file.
func Write(dir, name, template string) ([]string, error) {
	if len(validation.IsDNS1123Label(name)) > 0 { // the CRD has the same rule
		return nil, fmt.Errorf("the name is %q, expected at most %d characters of a-z, 0-9 and -, with a letter or digit at both ends", name, validation.DNS1123LabelMaxLength)
	}
	if !slices.Contains(Templates(), template) {
		return nil, fmt.Errorf("--template is %q, expected one of %s", template, strings.Join(Templates(), ", "))
	}
	files, err := render(path.Join(root, template), name)
	if err != nil {
		return nil, err
	}
	var names []string
	for file := range files {
		names = append(names, file)
		if _, err := os.Lstat(filepath.Join(dir, file)); err == nil {
			return nil, fmt.Errorf("%s already exists and is not overwritten: choose another --dir", filepath.Join(dir, file))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	slices.Sort(names)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, file := range names {
		if err := create(filepath.Join(dir, file), files[file]); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// render returns the contents of a template's files by file name. name is the name of the
// worker.
func render(dir, name string) (map[string][]byte, error) {
	entries, err := templates.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		t, err := template.ParseFS(templates, path.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read templates: %w", err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, struct{ Name string }{name}); err != nil {
			return nil, fmt.Errorf("render template: %w", err)
		}
		files[strings.TrimSuffix(entry.Name(), suffix)] = b.Bytes()
	}
	return files, nil
}

// create writes a file, which must not exist yet. A text that starts with #! becomes
// executable.
func create(name string, text []byte) error {
	mode := fs.FileMode(0o644)
	if bytes.HasPrefix(text, []byte("#!")) {
		mode = 0o755
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
