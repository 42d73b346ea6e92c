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

// Bounds of what is decoded: they keep a small file from taking all memory.
const (
	maxPixels = 100_000_000 // of a page; one is decoded at a time
	maxPages  = 100
	// maxSide is in pixels: tesseract takes 32767, and a field has its margin.
	maxSide = 32_767 - 2*margin
)

// page is one page of a file, found to be within the bounds but not decoded yet.
type page struct {
	// size is in pixels, of the page upright.
	size image.Point
	// resolution is in dots per inch, across; 0 when the file has none.
	resolution int
	// decode makes the page's image, in grey, upright, from 0, 0 to size. What
	// is broken is a refusal.
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

// known are the formats, told by how their files begin; "?" stands for any byte.
var known = []format{
	{"png", []string{"\x89PNG\r\n\x1a\n"}, single{png.DecodeConfig, png.Decode, pngResolution, nil}.pages},
	{"jpeg", []string{"\xff\xd8\xff"}, single{jpeg.DecodeConfig, jpeg.Decode, jpegResolution, jpegOrientation}.pages},
	{"bmp", []string{"BM"}, single{bmp.DecodeConfig, bmp.Decode, bmpResolution, nil}.pages},
	{"webp", []string{"RIFF????WEBP"}, single{webp.DecodeConfig, webp.Decode, noResolution, nil}.pages},
	{"tiff", []string{"II*\x00", "MM\x00*"}, tiffPages},
}

// findPages finds the pages of a file of any of the formats. What is no image,
// or a broken one as far as its head tells, or one over the bounds, is refused.
func findPages(file []byte) ([]page, error) {
	for _, f := range known {
		for _, magic := range f.magics {
			if begins(file, magic) {
				return f.pages(file)
			}
		}
	}
	return nil, &refusal{at: dataPath, expected: formats, message: "the data is no image of these formats"}
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

// single decodes formats that hold one page.
type single struct {
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
	resolution  func([]byte) int
	orientation func([]byte) int // as in EXIF; nil for formats without
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

// broken refuses a file for what its decoder says of it.
func broken(err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused
	}
	return &refusal{at: dataPath, expected: formats, message: "the image cannot be decoded: " + err.Error()}
}

// checkPixels refuses pages that are too large, before anything is decoded. It
// divides, since a product of two numbers from a file may overflow.
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

// gray is the image in grey on white paper, its upper left corner at 0, 0. All
// that tesseract looks at is in it.
func gray(source image.Image) *image.Gray {
	bounds := source.Bounds()
	if own, ok := source.(*image.Gray); ok && bounds.Min == (image.Point{}) && own.Stride == bounds.Dx() {
		own.Pix = own.Pix[:bounds.Dx()*bounds.Dy()] // a JPEG's has rows that are padding
		return own
	}
	target := image.NewGray(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
	if ycbcr, ok := source.(*image.YCbCr); ok { // a JPEG's own grey
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
