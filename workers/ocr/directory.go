// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"slices"
)

// The tags of a TIFF directory that are used here (TIFF 6.0).
const (
	tagNewSubfileType  = 254
	tagSubfileType     = 255
	tagImageWidth      = 256
	tagImageLength     = 257
	tagPhotometric     = 262
	tagOrientation     = 274
	tagSamplesPerPixel = 277
	tagXResolution     = 282
	tagYResolution     = 283
	tagResolutionUnit  = 296
	tagExtraSamples    = 338
)

// tags are the tags above. Others are ignored, because a directory can have thousands.
var tags = []uint16{
	tagNewSubfileType, tagSubfileType, tagImageWidth, tagImageLength, tagPhotometric, tagOrientation, tagSamplesPerPixel,
	tagXResolution, tagYResolution, tagResolutionUnit, tagExtraSamples,
}

// directory is an image file directory: one page of a TIFF file, or the main part of
// EXIF data, which has the same format.
type directory struct {
	file   []byte
	order  binary.ByteOrder
	offset uint32
	// link is the position of the next directory's offset.
	link int
	// entries maps each tag that is used here to the offset of its entry of 12 bytes.
	entries map[uint16]int
}

// maxDirectories is how many directories are read, pages and others.
const maxDirectories = 10 * maxPages

// tiffDirectories reads all directories of a file, or only the first one if all is false.
// If it returns an error, it also returns the directories before the broken one.
func tiffDirectories(file []byte, all bool) ([]directory, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if hasPrefix(file, "MM") {
		order = binary.BigEndian
	}
	if len(file) < 8 {
		return nil, errors.New("the file ends within its header")
	}
	var directories []directory
	seen := map[uint32]bool{}
	for offset := order.Uint32(file[4:]); offset != 0; {
		if seen[offset] {
			return directories, errors.New("its list of directories is circular")
		}
		if len(directories) == maxDirectories {
			return directories, fmt.Errorf("it has more than %d directories", maxDirectories)
		}
		seen[offset] = true
		d, next, err := readDirectory(file, order, offset)
		if err != nil {
			return directories, err
		}
		directories = append(directories, d)
		if !all {
			break
		}
		offset = next
	}
	if len(directories) == 0 {
		return nil, errors.New("it has no directory")
	}
	return directories, nil
}

// readDirectory reads the directory at an offset. It also returns the offset of the
// next one, 0 if there is none.
func readDirectory(file []byte, order binary.ByteOrder, offset uint32) (d directory, next uint32, err error) {
	truncated := errors.New("the file ends within a directory")
	if uint64(offset)+2 > uint64(len(file)) {
		return directory{}, 0, truncated
	}
	count := int(order.Uint16(file[offset:]))
	entries := file[offset+2:]
	if len(entries) < 12*count+4 {
		return directory{}, 0, truncated
	}
	d = directory{file: file, order: order, offset: offset, link: int(offset) + 2 + 12*count, entries: map[uint16]int{}}
	for i := range count {
		if tag := order.Uint16(entries[12*i:]); slices.Contains(tags, tag) {
			d.entries[tag] = int(offset) + 2 + 12*i
		}
	}
	return d, order.Uint32(entries[12*count:]), nil
}

// The types of values that are used here.
const (
	typeShort    = 3
	typeLong     = 4
	typeRational = 5
)

var typeSizes = map[uint16]uint64{typeShort: 2, typeLong: 4, typeRational: 8}

// raw returns the values of a tag as bytes, and their type. It returns nil if the tag
// does not exist or its values are not within the file.
func (d directory) raw(tag uint16) (values []byte, kind uint16) {
	offset, ok := d.entries[tag]
	if !ok {
		return nil, 0
	}
	entry := d.file[offset:]
	kind = d.order.Uint16(entry[2:])
	size := typeSizes[kind] * uint64(d.order.Uint32(entry[4:]))
	if size <= 4 {
		return entry[8 : 8+size], kind
	}
	at := uint64(d.order.Uint32(entry[8:]))
	if at+size > uint64(len(d.file)) {
		return nil, 0
	}
	return d.file[at : at+size], kind
}

// integers returns the values of a tag, or nil if they are not integers.
func (d directory) integers(tag uint16) []int {
	values, kind := d.raw(tag)
	var n []int
	switch kind {
	case typeShort:
		for ; len(values) >= 2; values = values[2:] {
			n = append(n, int(d.order.Uint16(values)))
		}
	case typeLong:
		for ; len(values) >= 4; values = values[4:] {
			n = append(n, int(d.order.Uint32(values)))
		}
	}
	return n
}

// size returns the size of the page, as it is stored, in pixels.
func (d directory) size() image.Point {
	return image.Pt(d.integer(tagImageWidth, 0), d.integer(tagImageLength, 0))
}

// integer returns the first value of a tag, or fallback if there is none.
func (d directory) integer(tag uint16, fallback int) int {
	if n := d.integers(tag); len(n) > 0 {
		return n[0]
	}
	return fallback
}

// resolution returns the horizontal resolution of the upright page in dots per inch,
// or 0 if the directory has none.
func (d directory) resolution() int {
	horizontal := d.rational(tagXResolution)
	if orientation := d.integer(tagOrientation, 1); orientation >= 5 && orientation <= 8 { // rotated by a quarter turn
		horizontal = cmp.Or(d.rational(tagYResolution), horizontal)
	}
	switch d.integer(tagResolutionUnit, 2) { // the default unit is the inch
	case 2:
		return plausibleDPI(horizontal)
	case 3: // centimetre
		return plausibleDPI(horizontal * 2.54)
	}
	return 0
}

// rational returns the first value of a tag, or 0 if there is none.
func (d directory) rational(tag uint16) float64 {
	values, kind := d.raw(tag)
	if kind != typeRational || len(values) < 8 || d.order.Uint32(values[4:]) == 0 {
		return 0
	}
	return float64(d.order.Uint32(values)) / float64(d.order.Uint32(values[4:]))
}
