// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/image/tiff"
)

// convertTIFF decodes the only page of a TIFF file with tiff2rgba, a program of
// libtiff. It supports what Go's decoder does not: fax group 3 compression, CMYK,
// separate planes and more. The error is a refusal if the file cannot be decoded, and
// exec.ErrNotFound if the program is not installed.
func convertTIFF(ctx context.Context, file []byte) (image.Image, error) {
	program, err := exec.LookPath("tiff2rgba")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tiff-")
	if err != nil {
		return nil, fmt.Errorf("create scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "source"), file, 0o600); err != nil {
		return nil, fmt.Errorf("write TIFF file: %w", err)
	}
	// The largest page needs less than 512 MiB, at four bytes for each pixel.
	cmd := exec.CommandContext(ctx, program, "-M", "512", "-n", "-c", "packbits", "source", "target")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	if exit, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || !exit.Exited() || ctx.Err() != nil) {
		return nil, fmt.Errorf("run tiff2rgba: %w", errors.Join(err, ctx.Err()))
	}
	if fault := libtiffFault(stderr.String()); fault != "" {
		return nil, broken(errors.New(fault))
	}
	if err != nil {
		return nil, broken(err)
	}
	converted, err := os.Open(filepath.Join(dir, "target"))
	if err != nil {
		return nil, fmt.Errorf("read converted TIFF file: %w", err)
	}
	defer func() { _ = converted.Close() }()
	decoded, err := tiff.Decode(converted)
	if err != nil {
		return nil, fmt.Errorf("decode converted TIFF file: %w", err)
	}
	return decoded, nil
}

// libtiffFault returns the first line of stderr that reports missing pixels, or "".
// libtiff's programs leave such pixels black and still exit with 0. Warnings are about
// what libtiff could correct, except for the early end of a JPEG.
func libtiffFault(stderr string) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if line != "" && (!strings.Contains(line, "Warning, ") || strings.Contains(line, "remature end of ")) {
			return line
		}
	}
	return ""
}
