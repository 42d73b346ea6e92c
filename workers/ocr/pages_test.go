// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// decodeAll decodes all pages of a file. It returns an error if a picture does not have
// the size of its page, or has gaps between its rows.
func decodeAll(file []byte) ([]page, []*image.Gray, error) {
	pages, err := findPages(file)
	if err != nil {
		return nil, nil, err
	}
	pictures := make([]*image.Gray, len(pages))
	for i, p := range pages {
		if p.missing != nil {
			return nil, nil, p.missing
		}
		if pictures[i], err = p.decode(context.Background()); err != nil {
			return nil, nil, err
		}
		if picture := pictures[i]; picture.Rect != p.bounds() || picture.Stride != p.size.X || len(picture.Pix) != p.size.X*p.size.Y {
			return nil, nil, fmt.Errorf("a page of %v is a picture of %v, %d bytes a row", p.size, picture.Rect, picture.Stride)
		}
	}
	return pages, pictures, nil
}

func TestDecodePages(t *testing.T) {
	for name, want := range map[string][][3]int{ // width, height, resolution
		"page.png":      {{1000, 1100, 150}},
		"letter.jpg":    {{900, 420, 0}},
		"two-pages.tif": {{800, 300, 72}, {800, 300, 72}},
		"receipt.bmp":   {{420, 160, 0}},
		"note.webp":     {{600, 160, 0}},
		"empty.png":     {{600, 400, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			pages, pictures, err := decodeAll(testdata(t, name))
			if err != nil {
				t.Fatal(err)
			}
			var got [][3]int
			for i, picture := range pictures {
				got = append(got, [3]int{picture.Rect.Dx(), picture.Rect.Dy(), pages[i].resolution})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodePagesRefusals(t *testing.T) {
	resized := func(width, height uint32) []byte {
		file := bytes.Clone(testdata(t, "page.png")[:8+25])
		binary.BigEndian.PutUint32(file[16:], width)
		binary.BigEndian.PutUint32(file[20:], height)
		binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
		return file
	}
	circle := bytes.Clone(testdata(t, "two-pages.tif"))
	first := binary.LittleEndian.Uint32(circle[4:])
	entries := uint32(binary.LittleEndian.Uint16(circle[first:]))
	binary.LittleEndian.PutUint32(circle[first+2+12*entries:], first)
	for name, test := range map[string]struct {
		file    []byte
		message string
	}{
		"nothing":                     {nil, "not an image"},
		"a text":                      {[]byte("hello"), "not an image"},
		"a PNG that is cut off":       {testdata(t, "page.png")[:3000], "cannot be decoded"},
		"a JPEG that is cut off":      {testdata(t, "letter.jpg")[:3000], "cannot be decoded"},
		"a TIFF that is cut off":      {testdata(t, "two-pages.tif")[:3000], "cannot be decoded"},
		"a TIFF with only its header": {[]byte("II*\x00"), "cannot be decoded"},
		"a TIFF without a directory":  {[]byte("MM\x00*\xff\xff\xff\xff"), "cannot be decoded"},
		"a circular TIFF":             {circle, "circular"},
		"a BMP that is cut off":       {testdata(t, "receipt.bmp")[:60], "cannot be decoded"},
		"a WebP that is cut off":      {testdata(t, "note.webp")[:40], "cannot be decoded"},
		"a PNG of 3.6 billion pixels": {resized(60_000, 60_000), "60000 pixels wide and 60000 high"},
		"a PNG one row too large":     {resized(10_000, 10_001), "10000 pixels wide and 10001 high"},
		"a PNG too wide":              {resized(40_000, 10), "40000 pixels wide and 10 high"},
		"a TIFF of 101 pages":         {tiffOfPages(101), "more than 100 pages"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeAll(test.file)
			r, ok := errors.AsType[*refusal](err)
			if !ok || r.at != "input.source.data" || r.expected == nil || !strings.Contains(r.message, test.message) {
				t.Errorf("got %+v (%v), want a refusal with %q", r, err, test.message)
			}
		})
	}
}

// FuzzDecodePages: no file causes a panic, and every error is a refusal.
func FuzzDecodePages(f *testing.F) {
	for _, name := range []string{"letter.jpg", "two-pages.tif", "receipt.bmp", "note.webp", "empty.png"} {
		f.Add(testdata(f, name))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if pages, err := findPages(file); err == nil {
			for _, p := range pages {
				if p.size.X*p.size.Y > 1_000_000 {
					return // too slow for a fuzz test
				}
			}
		}
		_, pictures, err := decodeAll(file)
		if _, refused := errors.AsType[*refusal](err); err != nil && !refused {
			t.Errorf("got the error %v, want a refusal", err)
		}
		for _, picture := range pictures {
			if picture.Rect.Empty() {
				t.Error("got a page without pixels")
			}
		}
	})
}

func TestGray(t *testing.T) {
	bounds := image.Rect(3, 4, 5, 5) // does not begin at 0, 0
	transparent := image.NewNRGBA(bounds)
	black := image.NewNRGBA(bounds)
	deep := image.NewRGBA64(bounds)
	paletted := image.NewPaletted(bounds, color.Palette{color.Black, color.White})
	for x := 3; x < 5; x++ {
		black.Set(x, 4, color.Black)
		deep.Set(x, 4, color.Gray16{Y: 0x8080})
		paletted.SetColorIndex(x, 4, 1)
	}
	for name, test := range map[string]struct {
		source image.Image
		want   uint8
	}{
		"transparent is paper": {transparent, 255},
		"black":                {black, 0},
		"16 bits":              {deep, 0x80},
		"a palette":            {paletted, 255},
		"CMYK":                 {image.NewCMYK(bounds), 255},
	} {
		t.Run(name, func(t *testing.T) {
			got := gray(test.source)
			if got.Bounds() != image.Rect(0, 0, 2, 1) || got.Pix[0] != test.want || got.Pix[1] != test.want {
				t.Errorf("got %v in %v, want %d", got.Pix, got.Bounds(), test.want)
			}
		})
	}
}

// Go's decoder pads a JPEG to whole blocks.
func TestGrayRemovesPadding(t *testing.T) {
	padded := image.NewGray(image.Rect(0, 0, 8, 8)).SubImage(image.Rect(0, 0, 8, 3))
	if got := len(gray(padded).Pix); got != 24 {
		t.Errorf("got %d pixels, want 24", got)
	}
}

func TestUpright(t *testing.T) {
	// 1 2 3
	// 4 5 6
	source := &image.Gray{Pix: []uint8{1, 2, 3, 4, 5, 6}, Stride: 3, Rect: image.Rect(0, 0, 3, 2)}
	for orientation, want := range map[int][]uint8{
		0: {1, 2, 3, 4, 5, 6},
		1: {1, 2, 3, 4, 5, 6},
		2: {3, 2, 1, 6, 5, 4},
		3: {6, 5, 4, 3, 2, 1},
		4: {4, 5, 6, 1, 2, 3},
		5: {1, 4, 2, 5, 3, 6},
		6: {4, 1, 5, 2, 6, 3},
		7: {6, 3, 5, 2, 4, 1},
		8: {3, 6, 2, 5, 1, 4},
		9: {1, 2, 3, 4, 5, 6},
	} {
		if diff := cmp.Diff(want, upright(source, orientation).Pix); diff != "" {
			t.Errorf("orientation %d: %s", orientation, diff)
		}
	}
}

// withSegment returns a JPEG file with a segment inserted after its start.
func withSegment(t *testing.T, marker byte, body []byte) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := jpeg.Encode(&buffer, image.NewGray(image.Rect(0, 0, 8, 16)), nil); err != nil {
		t.Fatal(err)
	}
	file := append([]byte{}, buffer.Bytes()[:2]...)
	file = append(file, 0xff, marker)
	file = binary.BigEndian.AppendUint16(file, uint16(len(body)+2))
	file = append(file, body...)
	return append(file, buffer.Bytes()[2:]...)
}

func TestJPEGSegments(t *testing.T) {
	exif := []byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08" +
		"\x00\x03" + // three entries
		"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + // orientation 6
		"\x01\x1a\x00\x05\x00\x00\x00\x01\x00\x00\x00\x32" + // resolution, at 50
		"\x01\x28\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00" + // per centimetre
		"\x00\x00\x00\x00" + "\x00\x00\x00\x64\x00\x00\x00\x01") // 100/1
	for name, test := range map[string]struct {
		marker                  byte
		body                    []byte
		resolution, orientation int
	}{
		"JFIF, per inch":       {0xe0, []byte("JFIF\x00\x01\x01\x01\x01\x2c\x01\x2c\x00\x00"), 300, 1},
		"JFIF, per centimetre": {0xe0, []byte("JFIF\x00\x01\x01\x02\x00\x76\x00\x76\x00\x00"), 300, 1},
		"JFIF, no unit":        {0xe0, []byte("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"), 0, 1},
		"EXIF":                 {0xe1, exif, 254, 6},
		"EXIF that is cut off": {0xe1, exif[:20], 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			file := withSegment(t, test.marker, test.body)
			pages, _, err := decodeAll(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := pages[0].resolution; got != test.resolution {
				t.Errorf("resolution %d, want %d", got, test.resolution)
			}
			if turned := pages[0].size.X == 16; jpegEXIF(file).integer(tagOrientation, 1) != test.orientation || turned != (test.orientation == 6) {
				t.Errorf("orientation %d, turned %t, want %d", jpegEXIF(file).integer(tagOrientation, 1), turned, test.orientation)
			}
		})
	}
}

func TestPNGWithoutResolution(t *testing.T) {
	var buffer bytes.Buffer
	if err := png.Encode(&buffer, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	if got := pngResolution(buffer.Bytes()); got != 0 {
		t.Errorf("got %d, want 0", got)
	}
}
