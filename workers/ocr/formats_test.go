// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ink returns the percentage of dark pixels in a picture.
func ink(picture *image.Gray) int {
	dark := 0
	for _, p := range picture.Pix {
		if p < 128 {
			dark++
		}
	}
	return 100 * dark / len(picture.Pix)
}

// Go has no encoder for these files. They show one line of page.png and were made with
// Netpbm (fax.tif), libtiff's tiffcp (the other TIFF files) and ImageMagick (cmyk.jpg).
func TestFormatsWithoutAnEncoderInGo(t *testing.T) {
	for name, want := range map[string]image.Point{
		"fax.tif":               {X: 400, Y: 59}, // CCITT group 4
		"fax-black-is-zero.tif": {X: 400, Y: 59},
		"jpeg-inside.tif":       {X: 400, Y: 60},
		"cmyk.jpg":              {X: 400, Y: 60},
	} {
		t.Run(name, func(t *testing.T) {
			pages, pictures, err := decodeAll(testdata(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if len(pages) != 1 || pages[0].size != want {
				t.Fatalf("got %d pages, the first of %v, want one of %v", len(pages), pages[0].size, want)
			}
			// Dark letters on white paper: the picture is neither blank nor inverted.
			if got := ink(pictures[0]); got < 2 || got > 30 {
				t.Errorf("%d %% of the pixels are dark, want 2 to 30 %%", got)
			}
		})
	}
}

func TestKindsOfPNG(t *testing.T) {
	bounds := image.Rect(0, 0, 20, 10)
	paletted := image.NewPaletted(bounds, color.Palette{color.White, color.Black, color.Transparent})
	gray16 := image.NewGray16(bounds)
	deep := image.NewNRGBA64(bounds)
	for y := range 10 {
		for x := range 20 {
			if gray16.Set(x, y, color.White); x < 4 {
				paletted.SetColorIndex(x, y, 1)
				gray16.Set(x, y, color.Black)
				deep.Set(x, y, color.Black)
			} else if x > 10 {
				paletted.SetColorIndex(x, y, 2)
			}
		}
	}
	for name, source := range map[string]image.Image{
		"a palette with a transparent colour": paletted, "16 bits of grey": gray16, "16 bits, transparent": deep,
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			if err := png.Encode(&file, source); err != nil {
				t.Fatal(err)
			}
			_, pictures, err := decodeAll(file.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if got := ink(pictures[0]); got != 20 {
				t.Errorf("%d %% of the pixels are dark, want 20 %%", got)
			}
		})
	}
}

func TestPNGResolution(t *testing.T) {
	var plain bytes.Buffer
	if err := png.Encode(&plain, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	const head = 8 + 25 // the signature and IHDR
	with := func(kind string, body []byte) []byte {
		file := append([]byte{}, plain.Bytes()[:head]...)
		file = binary.BigEndian.AppendUint32(file, uint32(len(body)))
		file = append(append(file, kind...), body...)
		file = binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(file[head+4:]))
		return append(file, plain.Bytes()[head:]...)
	}
	perMetre := func(x uint32, unit byte) []byte {
		return append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, x), 1), unit)
	}
	for name, test := range map[string]struct {
		file []byte
		want int
	}{
		"none":                      {plain.Bytes(), 0},
		"300 dots per inch":         {with("pHYs", perMetre(11811, 1)), 300},
		"a ratio only":              {with("pHYs", perMetre(11811, 0)), 0},
		"too low for a scanner":     {with("pHYs", perMetre(1, 1)), 0},
		"too high for a scanner":    {with("pHYs", perMetre(0xffffffff, 1)), 0},
		"a chunk that is cut off":   {with("pHYs", perMetre(11811, 1))[:head+12], 0},
		"after a comment":           {append(with("tEXt", []byte("a\x00b"))[:head+15], with("pHYs", perMetre(11811, 1))[head:]...), 300},
		"a chunk that is not valid": {with("pHYs", []byte{1, 2}), 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pngResolution(test.file); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestBMPResolution(t *testing.T) {
	for name, test := range map[string]struct {
		perMetre uint32
		want     int
	}{
		"none": {0, 0}, "300 dots per inch": {11811, 300}, "nonsense": {0xfffffff0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			file := bytes.Clone(testdata(t, "receipt.bmp"))
			binary.LittleEndian.PutUint32(file[38:], test.perMetre)
			pages, _, err := decodeAll(file)
			if err != nil {
				t.Fatal(err)
			}
			if pages[0].resolution != test.want {
				t.Errorf("got %d, want %d", pages[0].resolution, test.want)
			}
		})
	}
}

// Both byte orders, and the tags that change how a page is decoded.
func TestTIFFInBothByteOrders(t *testing.T) {
	for name, order := range map[string]binary.AppendByteOrder{"II*\x00": binary.LittleEndian, "MM\x00*": binary.BigEndian} {
		for orientation, want := range map[uint16]struct {
			size   image.Point
			pixels []uint8
		}{
			1: {image.Pt(2, 1), []uint8{0, 255}},
			2: {image.Pt(2, 1), []uint8{255, 0}},
			6: {image.Pt(1, 2), []uint8{0, 255}},
			8: {image.Pt(1, 2), []uint8{255, 0}},
			9: {image.Pt(2, 1), []uint8{0, 255}}, // not an orientation
		} {
			const pixels = 8
			file := append(order.AppendUint32([]byte(name), 10), 0, 255)
			entries := [][2]uint16{
				{tagImageWidth, 2}, {tagImageLength, 1}, {tagBitsPerSample, 8}, {tagCompression, 1}, {tagPhotometric, 1}, {tagStripOffsets, pixels},
				{tagOrientation, orientation}, {tagRowsPerStrip, 1}, {tagStripByteCounts, 2},
			}
			file = order.AppendUint16(file, uint16(len(entries)))
			for _, e := range entries {
				file = order.AppendUint16(order.AppendUint16(file, e[0]), typeShort)
				file = append(order.AppendUint16(order.AppendUint32(file, 1), e[1]), 0, 0)
			}
			pages, pictures, err := decodeAll(order.AppendUint32(file, 0))
			if err != nil {
				t.Fatalf("%v, orientation %d: %v", order, orientation, err)
			}
			if diff := cmp.Diff(want.pixels, pictures[0].Pix); diff != "" || pages[0].size != want.size {
				t.Errorf("%v, orientation %d: of %v, %s", order, orientation, pages[0].size, diff)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	blank := func(width, height int) []byte {
		var file bytes.Buffer
		if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
			t.Fatal(err)
		}
		return file.Bytes()
	}
	sized := func(width, height uint32) []byte {
		return tiffOf([]byte{255}, []tag{
			long(tagImageWidth, width), long(tagImageLength, height), short(tagBitsPerSample, 8), short(tagCompression, 1), short(tagPhotometric, 1),
			long(tagStripOffsets, 8), long(tagRowsPerStrip, height), long(tagStripByteCounts, 1),
		})
	}
	endless := tiffOfPages(2)
	copy(endless[len(endless)-4:], endless[4:8]) // the last directory points to the first
	for name, test := range map[string]struct {
		file     []byte
		expected any // of the refusal; nil if the file is decoded
	}{
		"as wide as can be":               {blank(maxSide, 1), nil},
		"too wide for tesseract":          {blank(maxSide+1, 1), map[string]any{"maxWidth": maxSide, "maxHeight": maxSide}},
		"too high for tesseract":          {blank(1, maxSide+1), map[string]any{"maxWidth": maxSide, "maxHeight": maxSide}},
		"one page more than allowed":      {tiffOfPages(maxPages + 1), map[string]any{"maxPages": maxPages}},
		"a TIFF of too many pixels":       {sized(30_000, 30_000), map[string]any{"maxPixels": maxPixels}},
		"a TIFF of 2^64 pixels":           {sized(1<<32-1, 1<<32-1), map[string]any{"maxPixels": maxPixels}},
		"a TIFF of no pixels":             {sized(0, 1), formats},
		"a TIFF of fewer bytes than said": {sized(200, 100), formats},
		"a TIFF that circles":             {endless, formats},
		"a TIFF whose last page is cut":   {endless[:len(endless)-20], formats},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeAll(test.file)
			if test.expected == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused, ok := errors.AsType[*refusal](err)
			if !ok {
				t.Fatalf("got %v, want a refusal", err)
			}
			if diff := cmp.Diff(test.expected, refused.expected); diff != "" || refused.at != dataPath {
				t.Errorf("at %s: %s", refused.at, diff)
			}
		})
	}
}
