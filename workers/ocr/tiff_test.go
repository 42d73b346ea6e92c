// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tag is an entry of a TIFF directory. Values that are not integers are given as bytes.
type tag struct {
	number, kind uint16
	values       []uint32
	bytes        []byte
}

func short(number uint16, values ...uint32) tag { return tag{number, typeShort, values, nil} }
func long(number uint16, values ...uint32) tag  { return tag{number, typeLong, values, nil} }

// tiffOf returns a little-endian TIFF file: the data at offset 8, then a directory for
// each page.
func tiffOf(data []byte, pages ...[]tag) []byte {
	le := binary.LittleEndian
	file := append([]byte("II*\x00\x00\x00\x00\x00"), data...)
	link := 4
	for _, tags := range pages {
		places := make([]uint32, len(tags))
		counts := make([]uint32, len(tags))
		for i, t := range tags {
			values := t.bytes
			for _, v := range t.values {
				if t.kind == typeShort {
					values = le.AppendUint16(values, uint16(v))
				} else {
					values = le.AppendUint32(values, v)
				}
			}
			counts[i] = uint32(len(values)) / uint32(typeSizes[t.kind])
			if len(values) <= 4 {
				places[i] = le.Uint32(append(values, 0, 0, 0, 0))
				continue
			}
			places[i] = uint32(len(file))
			file = append(file, values...)
		}
		le.PutUint32(file[link:], uint32(len(file)))
		file = le.AppendUint16(file, uint16(len(tags)))
		for i, t := range tags {
			file = le.AppendUint16(file, t.number)
			file = le.AppendUint16(file, t.kind)
			file = le.AppendUint32(file, counts[i])
			file = le.AppendUint32(file, places[i])
		}
		link = len(file)
		file = append(file, 0, 0, 0, 0)
	}
	return file
}

// tiffOfPages returns a TIFF file with n white pages of 1 by 1 pixel.
func tiffOfPages(n int) []byte {
	pages := make([][]tag, n)
	for i := range pages {
		pages[i] = []tag{
			short(tagImageWidth, 1), short(tagImageLength, 1), short(258, 8), short(tagCompression, 1), short(tagPhotometric, 1),
			long(tagStripOffsets, 8), short(tagRowsPerStrip, 1), long(tagStripByteCounts, 1),
		}
	}
	return tiffOf([]byte{255}, pages...)
}

func TestTIFFWithMaxPages(t *testing.T) {
	pages, pictures, err := decodeAll(tiffOfPages(maxPages))
	if err != nil || len(pages) != maxPages || pictures[maxPages-1].Pix[0] != 255 {
		t.Errorf("got %d pages, %v", len(pages), err)
	}
}

// jpegOf returns a JPEG file of one colour.
func jpegOf(t *testing.T, width, height int, shade color.Color) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			picture.Set(x, y, shade)
		}
	}
	var buffer bytes.Buffer
	if err := jpeg.Encode(&buffer, picture, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestJPEGInTIFF(t *testing.T) {
	black, white := jpegOf(t, 16, 16, color.Black), jpegOf(t, 16, 16, color.White)
	data := append(bytes.Clone(black), white...)
	first, second := uint32(8), uint32(8+len(black))
	lengths := []uint32{uint32(len(black)), uint32(len(white))}
	size := func(width, height uint32) []tag {
		return []tag{short(tagImageWidth, width), short(tagImageLength, height), short(tagCompression, compressionJPEG), short(tagPhotometric, 6)}
	}
	strips := []tag{long(tagStripOffsets, first, second), short(tagRowsPerStrip, 16), long(tagStripByteCounts, lengths...)}
	tiles := []tag{
		short(tagTileWidth, 16), short(tagTileLength, 16), long(tagTileOffsets, first, second), long(tagTileByteCounts, lengths...),
	}
	with := func(parts ...[]tag) []tag {
		var all []tag
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	const refused = "refused"
	for name, test := range map[string]struct {
		tags []tag
		want any
	}{
		"strips, the last one smaller":  {with(size(16, 20), strips), []uint8{0, 255}},
		"tiles, the last one smaller":   {with(size(20, 16), tiles), []uint8{0, 255}},
		"upside down":                   {with(size(16, 32), strips, []tag{short(tagOrientation, 3)}), []uint8{255, 0}},
		"white is zero":                 {with(size(16, 32)[:3], []tag{short(tagPhotometric, 0)}, strips), []uint8{255, 0}},
		"a strip too few":               {with(size(16, 33), strips), refused},
		"strips higher than they say":   {with(size(16, 4), strips[:1], []tag{short(tagRowsPerStrip, 2)}, strips[2:]), []uint8{0, 255}},
		"tiles of 4 billion pixels":     {with(size(16, 16), []tag{long(tagTileWidth, 65536), long(tagTileLength, 65536)}, tiles[2:]), refused},
		"tiles of no height":            {with(size(16, 16), tiles[:1], tiles[2:]), refused},
		"no strips or tiles":            {size(16, 16), refused},
		"a strip beyond the file's end": {with(size(16, 20), []tag{long(tagStripOffsets, first, 1<<31)}, strips[1:]), refused},
		"colours in planes":             {with(size(16, 20), strips, []tag{short(tagPlanar, 2)}), refused},
	} {
		t.Run(name, func(t *testing.T) {
			_, pictures, err := decodeAll(tiffOf(data, test.tags))
			var got any = refused
			if err == nil {
				pix := pictures[0].Pix
				got = []uint8{pix[0], pix[len(pix)-1]}
			} else if _, ok := errors.AsType[*refusal](err); !ok {
				t.Fatalf("got the error %v, want a refusal", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("first and last pixel: %s (%v)", diff, err)
			}
		})
	}
}

func TestJPEGInTIFFWithTablesOfItsOwn(t *testing.T) {
	whole := jpegOf(t, 16, 16, color.Black)
	// Both the tables and the strip begin and end as a JPEG file.
	var tables, strip = []byte("\xff\xd8"), []byte("\xff\xd8")
	rest := whole[2:]
	for rest[1] != 0xda {
		length := 2 + int(binary.BigEndian.Uint16(rest[2:]))
		if rest[1] == 0xdb || rest[1] == 0xc4 {
			tables = append(tables, rest[:length]...)
		} else {
			strip = append(strip, rest[:length]...)
		}
		rest = rest[length:]
	}
	strip = append(strip, rest...)
	_, pictures, err := decodeAll(tiffOf(strip, []tag{
		short(tagImageWidth, 16), short(tagImageLength, 16), short(tagCompression, compressionJPEG), short(tagPhotometric, 6),
		long(tagStripOffsets, 8), long(tagStripByteCounts, uint32(len(strip))),
		{tagJPEGTables, typeUndefined, nil, append(tables, 0xff, 0xd9)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := pictures[0].Pix[0]; got != 0 {
		t.Errorf("the pixel is %d, want 0", got)
	}
}

func TestGrayOfRGB(t *testing.T) {
	planes := image.NewYCbCr(image.Rect(0, 0, 3, 1), image.YCbCrSubsampleRatio444)
	planes.Y[0], planes.Cb[1], planes.Cr[2] = 255, 255, 255
	if diff := cmp.Diff([]uint8{76, 149, 29}, grayOfRGB(planes).Pix); diff != "" {
		t.Errorf("red, green and blue: %s", diff)
	}
}

func TestTIFFResolution(t *testing.T) {
	rational := func(number uint16, n, divisor uint32) tag {
		return tag{number, typeRational, []uint32{n, divisor}, nil}
	}
	for name, test := range map[string]struct {
		tags []tag
		want int
	}{
		"inches":          {[]tag{rational(tagXResolution, 204, 1), rational(tagYResolution, 98, 1), short(tagResolutionUnit, 2)}, 204},
		"a fraction":      {[]tag{rational(tagXResolution, 599, 2)}, 300},
		"centimetres":     {[]tag{rational(tagXResolution, 100, 1), short(tagResolutionUnit, 3)}, 254},
		"no unit named":   {[]tag{rational(tagXResolution, 300, 1)}, 300},
		"a ratio only":    {[]tag{rational(tagXResolution, 300, 1), short(tagResolutionUnit, 1)}, 0},
		"a quarter turn":  {[]tag{short(tagOrientation, 6), rational(tagXResolution, 204, 1), rational(tagYResolution, 98, 1)}, 98},
		"divided by zero": {[]tag{rational(tagXResolution, 300, 0)}, 0},
		"not plausible":   {[]tag{rational(tagXResolution, 1, 1)}, 0},
		"no tags":         {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			directories, err := tiffDirectories(tiffOf(nil, test.tags), true)
			if err != nil {
				t.Fatal(err)
			}
			if got := directories[0].resolution(); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
