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
	"strconv"
	"strings"
)

// The page segmentation modes of tesseract that are used here.
const (
	segmentPage  = "3" // find the blocks of text in any layout
	segmentBlock = "6" // the picture is one block of text
	detectOnly   = "0" // detect the orientation of the picture, and read nothing
)

// recognize runs tesseract on the areas and returns the reading of each area, in the
// same order. Positions are in pixels of the page. It calls progress with the number of
// areas that are done. The error is a refusal if a page cannot be decoded.
func recognize(ctx context.Context, r *request, pages []page, areas []area, progress func(done int)) ([]reading, error) {
	readings, done, d := make([]reading, len(areas)), 0, &decoder{pages: pages}
	for _, b := range batches(pages, areas, r.defaultResolution) {
		read, err := b.run(ctx, d, r.language, func(n int) { progress(done + n) })
		if err != nil {
			return nil, err
		}
		for i, a := range b.areas {
			current := reading{area: a, lines: read[i]}
			if a.whole && r.detectOrientation && current.mayBeRotated() {
				if current, err = current.rotated(ctx, d, b.resolution, r.language); err != nil {
					return nil, err
				}
			}
			current.lines = confident(current.lines, r.minimumConfidence)
			readings[a.index] = current
		}
		done += len(b.areas)
		progress(done)
	}
	return readings, nil
}

// run runs tesseract once on the batch and returns the lines of each area.
func (b batch) run(ctx context.Context, d *decoder, language string, progress func(done int)) ([][]line, error) {
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return nil, fmt.Errorf("create scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var list bytes.Buffer // tesseract reads the names of the pictures from its standard input
	frames := make([]frame, len(b.areas))
	for i, a := range b.areas {
		page, err := d.page(ctx, a.page)
		if err != nil {
			return nil, err
		}
		picture, from := a.picture(page)
		name := filepath.Join(dir, strconv.Itoa(i))
		frames[i] = from
		if err := writePGM(name, picture); err != nil {
			return nil, fmt.Errorf("write picture: %w", err)
		}
		_, _ = fmt.Fprintln(&list, name)
	}
	d.release() // tesseract needs the memory now
	mode := segmentBlock
	if b.areas[0].whole {
		mode = segmentPage
	}
	args := []string{"stdin", "stdout", "-l", language, "--psm", mode, "-c", "hocr_char_boxes=1"}
	if b.resolution > 0 {
		args = append(args, "--dpi", strconv.Itoa(b.resolution))
	}
	cmd := tesseract(ctx, append(args, "hocr")...)
	cmd.Stdin = &list
	stderr := messageReader{progress: progress}
	cmd.Stderr = &stderr
	hocr, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run tesseract: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("run tesseract: %w: %s", err, strings.Join(stderr.messages, "; "))
	}
	return parseHOCR(hocr, frames)
}

// tesseract returns the command that runs tesseract.
func tesseract(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "tesseract", args...)
	// More threads make tesseract slower: the lines of a page are too small to be divided.
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	return cmd
}

// writePGM writes a picture in PGM, because a format without compression takes the least
// time. There must be no gaps between the rows of the picture; see gray.
func writePGM(name string, picture *image.Gray) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	bounds := picture.Bounds()
	_, err = fmt.Fprintf(file, "P5\n%d %d\n255\n", bounds.Dx(), bounds.Dy())
	if err == nil {
		_, err = file.Write(picture.Pix)
	}
	return errors.Join(err, file.Close())
}

// messageReader reads the standard error of tesseract. A line "Page N : name", with N from
// 0, is the start of a picture. All other lines are messages.
type messageReader struct {
	progress func(done int)
	messages []string // the last messages, at most maxMessages
	rest     []byte   // the start of an incomplete line
}

// maxMessages is how many messages are kept for the text of an error.
const maxMessages = 10

func (c *messageReader) Write(text []byte) (int, error) {
	c.rest = append(c.rest, text...)
	for {
		end := bytes.IndexByte(c.rest, '\n')
		if end < 0 {
			return len(text), nil
		}
		line := string(c.rest[:end])
		c.rest = c.rest[end+1:]
		var n int
		if _, err := fmt.Sscanf(line, "Page %d :", &n); err == nil {
			c.progress(n)
		} else if c.messages = append(c.messages, line); len(c.messages) > maxMessages {
			c.messages = c.messages[1:]
		}
	}
}
