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

// Tesseract's page segmentation modes that are used.
const (
	segmentPage  = "3" // find the blocks of text, whatever the layout
	segmentBlock = "6" // one block of text
)

// recognize has tesseract read the areas, and returns the reading of each, in
// their order, with places in pixels of its page. progress is told how many are
// done. A page that cannot be decoded is a refusal.
func recognize(ctx context.Context, r *request, pages []page, areas []area, progress func(done int)) ([]reading, error) {
	readings, done, d := make([]reading, len(areas)), 0, &decoder{pages: pages}
	for _, b := range batches(pages, areas, r.defaultResolution) {
		read, err := b.run(ctx, d, r.language, func(n int) { progress(done + n) })
		if err != nil {
			return nil, err
		}
		for i, a := range b.areas {
			readings[a.index] = reading{area: a, lines: confident(read[i], r.minimumConfidence)}
		}
		done += len(b.areas)
		progress(done)
	}
	return readings, nil
}

// run has one tesseract read the batch. It ends with the context.
func (b batch) run(ctx context.Context, d *decoder, language string, progress func(done int)) ([][]line, error) {
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return nil, fmt.Errorf("make scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var list bytes.Buffer // tesseract takes names of pictures on its standard input
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
	d.release() // tesseract needs the memory next
	mode := segmentBlock
	if b.areas[0].whole {
		mode = segmentPage
	}
	args := []string{"stdin", "stdout", "-l", language, "--psm", mode, "-c", "hocr_char_boxes=1"}
	if b.resolution > 0 {
		args = append(args, "--dpi", strconv.Itoa(b.resolution))
	}
	cmd := exec.CommandContext(ctx, "tesseract", append(args, "hocr")...)
	// One thread: more only get into each other's way on a page's lines.
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	cmd.Stdin = &list
	said := commentary{progress: progress}
	cmd.Stderr = &said
	hocr, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run tesseract: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("run tesseract: %w: %s", err, strings.Join(said.notes, "; "))
	}
	return parseHOCR(hocr, frames)
}

// writePGM writes an image in the plainest form that tesseract reads: nothing to
// compress, nothing to decompress.
func writePGM(name string, picture *image.Gray) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	bounds := picture.Bounds()
	_, err = fmt.Fprintf(file, "P5\n%d %d\n255\n", bounds.Dx(), bounds.Dy())
	if err == nil {
		_, err = file.Write(picture.Pix) // its rows have nothing between them: see gray
	}
	return errors.Join(err, file.Close())
}

// commentary is what tesseract says on standard error: a line "Page N : name"
// as it begins each picture, N from 0, and notes.
type commentary struct {
	progress func(done int)
	notes    []string // the last few
	rest     []byte   // of a line whose end is to come
}

// maxNotes is how many lines are kept for an error's text.
const maxNotes = 10

func (c *commentary) Write(text []byte) (int, error) {
	c.rest = append(c.rest, text...)
	for {
		end := bytes.IndexByte(c.rest, '\n')
		if end < 0 {
			return len(text), nil
		}
		said := string(c.rest[:end])
		c.rest = c.rest[end+1:]
		var n int
		if _, err := fmt.Sscanf(said, "Page %d :", &n); err == nil {
			c.progress(n)
		} else if c.notes = append(c.notes, said); len(c.notes) > maxNotes {
			c.notes = c.notes[1:]
		}
	}
}
