// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"
)

// Bounds of what is decoded, so that a small file cannot use up all memory.
const (
	maxPixels = 100_000_000 // of one page; only one page is decoded at a time
	maxPages  = 100
	// maxSide is the maximum width and height in pixels. Tesseract accepts 32767, which
	// has to include the margin around a field.
	maxSide = 32_767 - 2*margin
)

// page is one page of a file. It is within the bounds, but not decoded yet.
type page struct {
	// size is the size of the upright page in pixels.
	size image.Point
	// resolution is the horizontal resolution in dots per inch. 0 means not in the file.
	resolution int
	// decode returns the page upright, in grey, with its upper left corner at 0, 0. The
	// error is a refusal if the file is damaged.
	decode func(context.Context) (*image.Gray, error)
}

func (p page) bounds() image.Rectangle { return image.Rectangle{Max: p.size} }

func (p page) resolutionOr(otherwise int) int {
	if p.resolution > 0 {
		return p.resolution
	}
	return otherwise
}

// format is a kind of image file.
type format struct {
	name   string
	magics []string
	pages  func([]byte) ([]page, error)
}

// known are the supported formats. A file has a format if it begins with one of its
// magics, in which "?" matches any byte.
var known = []format{
	{"png", []string{"\x89PNG\r\n\x1a\n"}, single{png.DecodeConfig, png.Decode, pngResolution, nil}.pages},
	{"jpeg", []string{"\xff\xd8\xff"}, single{jpeg.DecodeConfig, jpeg.Decode, jpegResolution, jpegOrientation}.pages},
	{"bmp", []string{"BM"}, single{bmp.DecodeConfig, bmp.Decode, bmpResolution, nil}.pages},
	{"webp", []string{"RIFF????WEBP"}, single{webp.DecodeConfig, webp.Decode, noResolution, nil}.pages},
	{"tiff", []string{"II*\x00", "MM\x00*"}, tiffPages},
}

// findPages returns the pages of a file. It reads only the headers. The error is a
// refusal if the file is not an image, is damaged, or exceeds the bounds.
func findPages(file []byte) ([]page, error) {
	for _, f := range known {
		for _, magic := range f.magics {
			if begins(file, magic) {
				return f.pages(file)
			}
		}
	}
	return nil, &refusal{at: dataPath, expected: formats, message: "the data is not an image in one of these formats"}
}

func begins(file []byte, magic string) bool {
	if len(file) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && file[i] != magic[i] {
			return false
		}
	}
	return true
}

// single decodes a format whose files have one page.
type single struct {
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
	resolution  func([]byte) int
	orientation func([]byte) int // as in EXIF; nil if the format has none
}

func (s single) pages(file []byte) ([]page, error) {
	config, err := s.config(bytes.NewReader(file))
	if err != nil {
		return nil, broken(err)
	}
	size := image.Pt(config.Width, config.Height)
	if err := checkPixels(size); err != nil {
		return nil, err
	}
	orientation := 1
	if s.orientation != nil {
		orientation = s.orientation(file)
	}
	decode := func(context.Context) (*image.Gray, error) {
		decoded, err := s.decode(bytes.NewReader(file))
		if err != nil {
			return nil, broken(err)
		}
		return upright(gray(decoded), orientation), nil
	}
	return []page{{size: uprightSize(size, orientation), resolution: s.resolution(file), decode: decode}}, nil
}

func noResolution([]byte) int { return 0 }

// broken returns a refusal for a file that cannot be decoded.
func broken(err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused
	}
	return &refusal{at: dataPath, expected: formats, message: "the image cannot be decoded: " + err.Error()}
}

// checkPixels returns a refusal for a page that is too large. It is called before
// anything is decoded. It divides, because a product of two numbers from a file can
// overflow.
func checkPixels(size image.Point) error {
	switch {
	case size.X <= 0 || size.Y <= 0:
		return &refusal{at: dataPath, expected: formats, message: "the image has no pixels"}
	case size.X > maxPixels/size.Y:
		return &refusal{
			at: dataPath, expected: map[string]any{"maxPixels": maxPixels},
			message: fmt.Sprintf("the image is %d pixels wide and %d high", size.X, size.Y),
		}
	case size.X > maxSide || size.Y > maxSide:
		return &refusal{
			at: dataPath, expected: map[string]any{"maxWidth": maxSide, "maxHeight": maxSide},
			message: fmt.Sprintf("the image is %d pixels wide and %d high", size.X, size.Y),
		}
	}
	return nil
}

// gray converts an image to grey on a white background, with its upper left corner at
// 0, 0. Tesseract uses no colours. The result can share the pixels of source.
func gray(source image.Image) *image.Gray {
	bounds := source.Bounds()
	if own, ok := source.(*image.Gray); ok && bounds.Min == (image.Point{}) && own.Stride == bounds.Dx() {
		own.Pix = own.Pix[:bounds.Dx()*bounds.Dy()] // a decoded JPEG has padding rows at its end
		return own
	}
	target := image.NewGray(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
	if ycbcr, ok := source.(*image.YCbCr); ok { // Y is already grey
		for y := range bounds.Dy() {
			start := ycbcr.YOffset(bounds.Min.X, bounds.Min.Y+y)
			copy(target.Pix[y*target.Stride:], ycbcr.Y[start:start+bounds.Dx()])
		}
		return target
	}
	draw.Draw(target, target.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(target, target.Bounds(), source, bounds.Min, draw.Over)
	return target
}
