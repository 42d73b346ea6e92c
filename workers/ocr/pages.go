// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
)

// Bounds of what is decoded, because a small file can describe a very large image.
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
	// resolution is the horizontal resolution in dots per inch. 0 means that the file does
	// not have it.
	resolution int
	// decode returns the page upright, in grey, with its upper left corner at 0, 0. The
	// error is a refusal if the file is damaged.
	decode func(context.Context) (*image.Gray, error)
	// missing is a refusal if the page cannot be found in the file. The other fields are
	// then zero.
	missing error
}

func (p page) bounds() image.Rectangle { return image.Rectangle{Max: p.size} }

func (p page) resolutionOr(fallback int) int {
	if p.resolution > 0 {
		return p.resolution
	}
	return fallback
}

// format is a kind of image file.
type format struct {
	name     string // ImageMagick's name of the format
	prefixes []string
	pages    func([]byte) ([]page, error)
}

// supported are the supported formats. A file has a format if it begins with one of its
// prefixes, in which "?" matches any byte.
var supported = []format{
	{"PNG", []string{"\x89PNG\r\n\x1a\n"}, singlePage{"PNG", pngSize, png.Decode, pngResolution, pngEXIF}.pages},
	{"JPEG", []string{"\xff\xd8\xff"}, singlePage{"JPEG", jpegSize, jpeg.Decode, jpegResolution, jpegEXIF}.pages},
	{"BMP", []string{"BM"}, singlePage{"BMP", bmpSize, nil, bmpResolution, noEXIF}.pages},
	{"WEBP", []string{"RIFF????WEBP"}, singlePage{"WEBP", webpSize, nil, noResolution, webpEXIF}.pages},
	{"TIFF", []string{"II*\x00", "MM\x00*"}, tiffPages},
}

// findPages returns the pages of a file. It reads only the headers. The error is a
// refusal if the file is not an image, is damaged, or exceeds the bounds.
func findPages(file []byte) ([]page, error) {
	for _, f := range supported {
		for _, prefix := range f.prefixes {
			if hasPrefix(file, prefix) {
				return f.pages(file)
			}
		}
	}
	return nil, &refusal{at: dataPath, expected: formats, message: "the data is not an image in one of these formats"}
}

// hasPrefix reports whether a file begins with prefix, in which "?" matches any byte.
func hasPrefix(file []byte, prefix string) bool {
	if len(file) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if prefix[i] != '?' && file[i] != prefix[i] {
			return false
		}
	}
	return true
}

// singlePage is a format whose files have one page. Go's decoder is tried first, if there
// is one: it takes less time than starting ImageMagick, which supports more files.
type singlePage struct {
	name       string
	size       func([]byte) image.Point // as it is stored; zero if the header is damaged
	goDecode   func(io.Reader) (image.Image, error)
	resolution func([]byte) int
	exif       func([]byte) directory
}

func (s singlePage) pages(file []byte) ([]page, error) {
	size := s.size(file)
	if err := checkPixels(size); err != nil {
		return nil, err
	}
	exif := s.exif(file)
	orientation := exif.integer(tagOrientation, 1)
	decode := func(ctx context.Context) (*image.Gray, error) {
		picture, err := s.decode(ctx, file)
		if err == nil && picture.Rect.Max != size {
			err = broken(errors.New("its size is not the size in its header"))
		}
		if err != nil {
			return nil, err
		}
		return upright(picture, orientation), nil
	}
	return []page{{size: uprightSize(size, orientation), resolution: cmp.Or(s.resolution(file), exif.resolution()), decode: decode}}, nil
}

func noResolution([]byte) int { return 0 }

// decode returns the image as it is stored.
func (s singlePage) decode(ctx context.Context, file []byte) (*image.Gray, error) {
	if s.goDecode != nil {
		if decoded, err := s.goDecode(bytes.NewReader(file)); err == nil {
			return gray(decoded), nil
		}
	}
	return magick{file: file, format: s.name}.decode(ctx)
}

// broken returns a refusal for a file that cannot be decoded.
func broken(err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused
	}
	return &refusal{at: dataPath, expected: formats, message: "the image cannot be decoded: " + err.Error()}
}

// checkPixels returns a refusal for a page that is too large. It is called before
// anything is decoded. It divides the maximum, because the product of width and height
// could overflow.
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
