package main

import (
	"bytes"
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
	maxPixels = 100_000_000 // of all pages together
	maxPages  = 100
)

// page is one page image, in grey, upright.
type page struct {
	image *image.Gray
	// resolution is in dots per inch, across; 0 when the file has none.
	resolution int
}

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
	decode func([]byte) ([]page, error)
}

// known are the formats, told by how their files begin; "?" stands for any byte.
var known = []format{
	{"png", []string{"\x89PNG\r\n\x1a\n"}, single{png.DecodeConfig, png.Decode, pngResolution, nil}.pages},
	{"jpeg", []string{"\xff\xd8\xff"}, single{jpeg.DecodeConfig, jpeg.Decode, jpegResolution, jpegOrientation}.pages},
	{"bmp", []string{"BM"}, single{bmp.DecodeConfig, bmp.Decode, bmpResolution, nil}.pages},
	{"webp", []string{"RIFF????WEBP"}, single{webp.DecodeConfig, webp.Decode, noResolution, nil}.pages},
	{"tiff", []string{"II*\x00", "MM\x00*"}, tiffPages},
}

// decodePages decodes a file of any of the formats. What is no image, or a
// broken one, or one over the bounds, is refused.
func decodePages(file []byte) ([]page, error) {
	for _, f := range known {
		for _, magic := range f.magics {
			if begins(file, magic) {
				return f.decode(file)
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
	if err := checkPixels(config.Width * config.Height); err != nil {
		return nil, err
	}
	decoded, err := s.decode(bytes.NewReader(file))
	if err != nil {
		return nil, broken(err)
	}
	p := page{image: gray(decoded), resolution: s.resolution(file)}
	if s.orientation != nil {
		p.image = upright(p.image, s.orientation(file))
	}
	return []page{p}, nil
}

func noResolution([]byte) int { return 0 }

func broken(err error) error {
	return &refusal{at: dataPath, expected: formats, message: "the image cannot be decoded: " + err.Error()}
}

func checkPixels(pixels int) error {
	if pixels > maxPixels {
		return &refusal{at: dataPath, expected: map[string]any{"maxPixels": maxPixels}, message: fmt.Sprintf("the image has %d pixels", pixels)}
	}
	if pixels <= 0 {
		return &refusal{at: dataPath, expected: formats, message: "the image has no pixels"}
	}
	return nil
}

// gray is the image in grey on white paper, its upper left corner at 0, 0. All
// that tesseract looks at is in it.
func gray(source image.Image) *image.Gray {
	bounds := source.Bounds()
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
