// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"testing"
)

// Tags that only the tests use.
const (
	tagBitsPerSample   = 258
	tagCompression     = 259
	tagStripOffsets    = 273
	tagRowsPerStrip    = 278
	tagStripByteCounts = 279
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
			short(tagImageWidth, 1), short(tagImageLength, 1), short(tagBitsPerSample, 8), short(tagCompression, 1), short(tagPhotometric, 1),
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
