package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"os"
	"os/exec"
	"strconv"
)

// margin is the white border, in pixels, that is put around a field: letters
// that touch the edge are read badly.
const margin = 16

// Tesseract's page segmentation modes that are used.
const (
	segmentPage  = "3" // find the blocks of text, whatever the layout
	segmentBlock = "6" // one block of text
)

// recognize has tesseract read an area of a page, and returns what it read with
// places in pixels of the page. resolution is in dots per inch; 0 leaves it to
// tesseract to guess.
func recognize(ctx context.Context, from *image.Gray, a area, language string, resolution int) ([]line, error) {
	picture, origin, mode := from, image.Point{}, segmentPage
	if !a.whole {
		picture, origin, mode = framed(from, a.rectangle()), a.rectangle().Min.Sub(image.Pt(margin, margin)), segmentBlock
	}
	args := []string{"stdin", "stdout", "-l", language, "--psm", mode, "-c", "hocr_char_boxes=1"}
	if resolution > 0 {
		args = append(args, "--dpi", strconv.Itoa(resolution))
	}
	cmd := exec.CommandContext(ctx, "tesseract", append(args, "hocr")...)
	// One thread: more only get into each other's way on a page's lines.
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	cmd.Stdin = bytes.NewReader(pgm(picture))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	hocr, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run tesseract: %w: %s", errors.Join(err, ctx.Err()), bytes.TrimSpace(stderr.Bytes()))
	}
	return parseHOCR(hocr, origin, a.rectangle())
}

// framed cuts an area out and puts a margin around it.
func framed(from *image.Gray, area image.Rectangle) *image.Gray {
	target := image.NewGray(image.Rect(0, 0, area.Dx()+2*margin, area.Dy()+2*margin))
	draw.Draw(target, target.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(target, image.Rect(margin, margin, margin+area.Dx(), margin+area.Dy()), from, area.Min, draw.Src)
	return target
}

// pgm writes an image in the plainest form that tesseract reads: nothing to
// compress, nothing to decompress.
func pgm(picture *image.Gray) []byte {
	bounds := picture.Bounds()
	text := fmt.Appendf(nil, "P5\n%d %d\n255\n", bounds.Dx(), bounds.Dy())
	for y := range bounds.Dy() {
		text = append(text, picture.Pix[y*picture.Stride:y*picture.Stride+bounds.Dx()]...)
	}
	return text
}
