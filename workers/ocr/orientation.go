// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
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

// upright rotates and mirrors an image so that it is upright. The orientation, 1 to 8,
// is that of EXIF and TIFF. Other values leave the image as it is.
func upright(source *image.Gray, orientation int) *image.Gray {
	if orientation < 2 || orientation > 8 {
		return source
	}
	w, h := source.Bounds().Dx(), source.Bounds().Dy()
	size := uprightSize(image.Pt(w, h), orientation)
	target := image.NewGray(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			sx, sy := x, y
			switch orientation {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, h-1-x
			case 7:
				sx, sy = w-1-y, h-1-x
			case 8:
				sx, sy = w-1-y, x
			}
			target.Pix[y*target.Stride+x] = source.Pix[sy*source.Stride+sx]
		}
	}
	return target
}

// uprightSize returns the size of an image after upright. Orientations 5 to 8 include a
// quarter turn.
func uprightSize(size image.Point, orientation int) image.Point {
	if orientation >= 5 && orientation <= 8 {
		return image.Pt(size.Y, size.X)
	}
	return size
}

// readable is the confidence below which a page may lie on its side or upside down.
const readable = 70

// turned detects how the page of a reading lies, and reads it again if it has to be
// turned. It returns the reading itself if it does not, or if that reads no better.
func (r reading) turned(ctx context.Context, d *decoder, resolution int, language string) (reading, error) {
	picture, err := d.page(ctx, r.page)
	if err != nil {
		return reading{}, err
	}
	rotation, err := detectRotation(ctx, picture, resolution)
	if err != nil || rotation == 0 {
		return r, err
	}
	picture = upright(picture, map[int]int{90: 6, 180: 3, 270: 8}[rotation])
	turned := page{size: picture.Rect.Max, decode: func(context.Context) (*image.Gray, error) { return picture, nil }}
	it := reading{area: area{index: r.index, page: r.page, box: boxOf(turned.bounds()), whole: true}, rotation: rotation}
	alone := batch{areas: []area{{page: 1, box: it.box, whole: true}}, resolution: resolution}
	lines, err := alone.run(ctx, &decoder{pages: []page{turned}}, language, func(int) {})
	if err != nil {
		return reading{}, err
	}
	if it.lines = lines[0]; confidence(it.lines) <= confidence(r.lines) {
		return r, nil
	}
	return it, nil
}

// detectRotation returns by how many degrees, clockwise, tesseract would turn a picture:
// 0, 90, 180 or 270. It is 0 if there are too few characters to tell.
func detectRotation(ctx context.Context, picture *image.Gray, resolution int) (int, error) {
	dir, err := os.MkdirTemp("", "orientation-")
	if err != nil {
		return 0, fmt.Errorf("create scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := filepath.Join(dir, "picture")
	if err := writePGM(name, picture); err != nil {
		return 0, fmt.Errorf("write picture: %w", err)
	}
	args := []string{name, "stdout", "--psm", detectOnly}
	if resolution > 0 {
		args = append(args, "--dpi", strconv.Itoa(resolution))
	}
	output, err := tesseract(ctx, args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && strings.Contains(string(exit.Stderr), "Too few characters") {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("detect orientation: %w", errors.Join(err, ctx.Err()))
	}
	_, text, _ := strings.Cut(string(output), "Rotate: ")
	var rotation int
	if _, err := fmt.Sscanf(text, "%d", &rotation); err != nil {
		return 0, fmt.Errorf("detect orientation: tesseract prints %q", output)
	}
	return rotation, nil
}
