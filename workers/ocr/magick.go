// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// policy limits what ImageMagick may read and how much memory it may use.
//
//go:embed policy.xml
var policy []byte

// magick is a file whose first image ImageMagick decodes. It supports nearly everything
// that the formats allow (ADR 31).
type magick struct {
	file    []byte
	patches map[int64][]byte // the bytes that replace those at an offset; nil for none
	format  string           // ImageMagick's name of the format, so that it does not guess
	// corrections are options that correct what ImageMagick reads; nil for none.
	corrections []string
}

// decode returns the image as it is stored, in grey on a white background. The error is a
// refusal if the file is damaged.
func (m magick) decode(ctx context.Context) (*image.Gray, error) {
	dir, err := os.MkdirTemp("", "magick-")
	if err != nil {
		return nil, fmt.Errorf("create scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source := filepath.Join(dir, "source")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "policy.xml"), policy, 0o600), m.write(source)); err != nil {
		return nil, fmt.Errorf("write file for ImageMagick: %w", err)
	}
	args := slices.Concat([]string{m.format + ":" + source + "[0]"}, m.corrections,
		[]string{"-strip", "-background", "white", "-alpha", "remove", "-alpha", "off", "-colorspace", "Gray", "-depth", "8", "pgm:-"})
	cmd := exec.CommandContext(ctx, "convert-im6.q16", args...)
	cmd.Env = append(os.Environ(), "MAGICK_CONFIGURE_PATH="+dir, "MAGICK_TEMPORARY_PATH="+dir)
	stderr := &firstBytes{limit: 64 << 10}
	cmd.Stderr = stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("run ImageMagick: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run ImageMagick: %w", err)
	}
	picture, readErr := readPGM(output)
	_, _ = io.Copy(io.Discard, output) // a full pipe would block the program
	err = cmd.Wait()
	if exit, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || !exit.Exited() || ctx.Err() != nil) {
		return nil, fmt.Errorf("run ImageMagick: %w", errors.Join(err, ctx.Err()))
	}
	if message := missingPixels(stderr.String()); message != "" {
		return nil, broken(errors.New(message))
	}
	if err := errors.Join(err, readErr); err != nil {
		return nil, broken(err)
	}
	return picture, nil
}

// write writes the file with its patches.
func (m magick) write(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(m.file)
	for offset, patch := range m.patches {
		if err == nil {
			_, err = f.WriteAt(patch, offset)
		}
	}
	return errors.Join(err, f.Close())
}

// missingPixels returns the message of the first line of stderr that reports missing
// pixels; "" if there is none. ImageMagick often fills such pixels and continues. Warnings
// are about errors that it could correct, except for the early end of a JPEG.
func missingPixels(stderr string) string {
	for line := range strings.Lines(stderr) {
		if text, source, ok := strings.Cut(strings.TrimSpace(line), " @ "); ok {
			if strings.HasPrefix(source, "warning/") && !strings.Contains(text, "remature end of ") {
				continue
			}
			_, text, _ = strings.Cut(text, ": ") // the name of the program
			text, _, _ = strings.Cut(text, " `") // the name of the file
			return libtiffFile.ReplaceAllString(text, "")
		}
	}
	return ""
}

// libtiffFile matches the name of the file at the start of a message of libtiff.
var libtiffFile = regexp.MustCompile(`^/\S*/source: `)

// firstBytes keeps the first limit bytes that are written to it, and drops the rest.
type firstBytes struct {
	bytes.Buffer
	limit int
}

func (b *firstBytes) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.limit-b.Len())])
	return len(p), nil
}

// readPGM reads a picture in PGM with 8 bits, as ImageMagick writes it.
func readPGM(r io.Reader) (*image.Gray, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var size image.Point
	var maximum int
	if _, err := fmt.Fscanf(in, "P5\n%d %d\n%d\n", &size.X, &size.Y, &maximum); err != nil {
		return nil, fmt.Errorf("it has no pixels: %w", err)
	}
	if err := checkPixels(size); err != nil || maximum != 255 {
		return nil, errors.Join(err, fmt.Errorf("it has pixels of up to %d", maximum))
	}
	picture := image.NewGray(image.Rectangle{Max: size})
	if _, err := io.ReadFull(in, picture.Pix); err != nil {
		return nil, fmt.Errorf("it has too few pixels: %w", err)
	}
	return picture, nil
}
