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

// upright rotates and mirrors an image so that it is upright. orientation is a value of
// EXIF and TIFF, 1 to 8. Any other value means 1, which changes nothing.
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

// readableConfidence is the confidence below which a page may be on its side or upside
// down.
const readableConfidence = 70

// mayBeRotated reports whether the page of a reading may be on its side or upside down.
// Tesseract can read vertical lines, but does not rotate the page for them. A page
// without any lines is blank.
func (r reading) mayBeRotated() bool {
	return len(r.lines) > 0 && (confidence(r.lines) < readableConfidence || mostlyVertical(r.lines))
}

// mostlyVertical reports whether most characters are in lines that are higher than wide.
func mostlyVertical(lines []line) bool {
	all, vertical := 0, 0
	for _, l := range lines {
		n := len(l.text())
		if all += n; n > 2 && l.area.Dy() > l.area.Dx() {
			vertical += n
		}
	}
	return 2*vertical > all
}

// rotated reads the page of a reading again, rotated as tesseract detects it, and returns
// the better reading. If there are too few characters to detect the rotation, it tries
// all of them.
func (r reading) rotated(ctx context.Context, d *decoder, resolution int, language string) (reading, error) {
	picture, err := d.page(ctx, r.page)
	if err != nil {
		return reading{}, err
	}
	rotations, err := detectRotation(ctx, picture, resolution)
	if err != nil {
		return reading{}, err
	}
	best := r
	for _, rotation := range rotations {
		if rotation == 0 {
			continue
		}
		candidate, err := r.rotatedBy(ctx, picture, rotation, resolution, language)
		if err != nil {
			return reading{}, err
		}
		if candidate.score() > best.score() {
			best = candidate
		}
	}
	return best, nil
}

// score is for the comparison of readings of one page with different rotations. It
// prefers horizontal lines, even if their confidence is a little lower than that of
// vertical lines.
func (r reading) score() float64 {
	const tolerance = 5
	if mostlyVertical(r.lines) {
		return confidence(r.lines) - tolerance
	}
	return confidence(r.lines)
}

// rotatedBy reads the page of a reading, rotated clockwise by 90, 180 or 270 degrees.
func (r reading) rotatedBy(ctx context.Context, picture *image.Gray, rotation, resolution int, language string) (reading, error) {
	picture = upright(picture, map[int]int{90: 6, 180: 3, 270: 8}[rotation])
	rotated := page{size: picture.Rect.Max, decode: func(context.Context) (*image.Gray, error) { return picture, nil }}
	whole := boxOf(rotated.bounds())
	single := batch{areas: []area{{page: 1, box: whole, whole: true}}, resolution: resolution}
	lines, err := single.run(ctx, &decoder{pages: []page{rotated}}, language, func(int) {})
	if err != nil {
		return reading{}, err
	}
	return reading{area: area{index: r.index, page: r.page, box: whole, whole: true}, lines: lines[0], rotation: rotation}, nil
}

// detectRotation returns by how many degrees, clockwise, tesseract would rotate a picture:
// 0, 90, 180 or 270. If there are too few characters to decide, it returns all of them.
func detectRotation(ctx context.Context, picture *image.Gray, resolution int) ([]int, error) {
	dir, err := os.MkdirTemp("", "orientation-")
	if err != nil {
		return nil, fmt.Errorf("create scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := filepath.Join(dir, "picture")
	if err := writePGM(name, picture); err != nil {
		return nil, fmt.Errorf("write picture: %w", err)
	}
	args := []string{name, "stdout", "--psm", detectOnly}
	if resolution > 0 {
		args = append(args, "--dpi", strconv.Itoa(resolution))
	}
	output, err := tesseract(ctx, args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && strings.Contains(string(exit.Stderr), "Too few characters") {
		return []int{0, 90, 180, 270}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("detect orientation: %w", errors.Join(err, ctx.Err()))
	}
	_, text, _ := strings.Cut(string(output), "Rotate: ")
	var rotation int
	if _, err := fmt.Sscanf(text, "%d", &rotation); err != nil {
		return nil, fmt.Errorf("detect orientation: tesseract prints %q", output)
	}
	return []int{rotation}, nil
}
