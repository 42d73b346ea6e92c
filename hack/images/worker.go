// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxWorkerBytes is the maximum size of a worker's files together. They are assembled in
// memory.
const maxWorkerBytes = 512 << 20

// workerLayer returns a tar of the files in dir, as /worker, without times and owners. All
// users may read the files, and execute those that the owner may execute. Directories
// named .git are not included. It returns an error if dir contains something other than
// files, directories and links, or a link to a path outside of dir.
func workerLayer(dir string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	total := int64(0)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(filepath.Join("worker", relative)), Mode: 0o644}
		if info.Mode()&0o100 != 0 {
			header.Mode = 0o755
		}
		var content []byte
		switch {
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case entry.IsDir():
			header.Typeflag, header.Name, header.Mode = tar.TypeDir, header.Name+"/", 0o755
		case info.Mode()&fs.ModeSymlink != 0:
			header.Typeflag, header.Mode = tar.TypeSymlink, 0o777
			if header.Linkname, err = linkWithin(dir, path); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			if total += info.Size(); total > maxWorkerBytes {
				return fmt.Errorf("the files have more than %d MiB", maxWorkerBytes>>20)
			}
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
			header.Typeflag, header.Size = tar.TypeReg, int64(len(content))
		default:
			return fmt.Errorf("%s is not a file, a directory or a link", path)
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

// linkWithin returns the target of a link. It returns an error if the target is not in
// dir.
func linkWithin(dir, path string) (string, error) {
	target, err := os.Readlink(path)
	if err != nil {
		return "", err
	}
	to, err := filepath.Rel(dir, filepath.Join(filepath.Dir(path), target))
	if filepath.IsAbs(target) || err != nil || to == ".." || strings.HasPrefix(to, "../") {
		return "", fmt.Errorf("%s is a link to %s, which is not in %s", path, target, dir)
	}
	return target, nil
}
