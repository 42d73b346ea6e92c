package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"image"
)

// The tags of a TIFF directory that are looked at (TIFF 6.0).
const (
	tagImageWidth      = 256
	tagImageLength     = 257
	tagCompression     = 259
	tagPhotometric     = 262
	tagStripOffsets    = 273
	tagOrientation     = 274
	tagRowsPerStrip    = 278
	tagStripByteCounts = 279
	tagXResolution     = 282
	tagYResolution     = 283
	tagPlanar          = 284
	tagResolutionUnit  = 296
	tagTileWidth       = 322
	tagTileLength      = 323
	tagTileOffsets     = 324
	tagTileByteCounts  = 325
	tagJPEGTables      = 347
)

// directory is one image file directory: one page of a TIFF file, or the main
// part of EXIF data, which has the same form.
type directory struct {
	file   []byte
	order  binary.ByteOrder
	offset uint32
	// entries are the 12 bytes of each tag.
	entries map[uint16][]byte
}

// tiffDirectories reads the directories of a file; only the first unless all is
// set. One more than maxPages is enough to know that there are too many.
func tiffDirectories(file []byte, all bool) ([]directory, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if begins(file, "MM") {
		order = binary.BigEndian
	}
	if len(file) < 8 {
		return nil, errors.New("the file ends in its header")
	}
	var directories []directory
	seen := map[uint32]bool{}
	for offset := order.Uint32(file[4:]); offset != 0 && len(directories) <= maxPages; {
		if seen[offset] {
			return nil, errors.New("its chain of directories is a circle")
		}
		seen[offset] = true
		d, next, err := readDirectory(file, order, offset)
		if err != nil {
			return nil, err
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

// readDirectory reads the directory at an offset, and the offset of the next.
func readDirectory(file []byte, order binary.ByteOrder, offset uint32) (d directory, next uint32, err error) {
	truncated := errors.New("the file ends in a directory")
	if uint64(offset)+2 > uint64(len(file)) {
		return directory{}, 0, truncated
	}
	count := int(order.Uint16(file[offset:]))
	entries := file[offset+2:]
	if len(entries) < 12*count+4 {
		return directory{}, 0, truncated
	}
	d = directory{file: file, order: order, offset: offset, entries: map[uint16][]byte{}}
	for i := range count {
		entry := entries[12*i : 12*i+12]
		d.entries[order.Uint16(entry)] = entry
	}
	return d, order.Uint32(entries[12*count:]), nil
}

// The types of a tag's values that are looked at.
const (
	typeByte      = 1
	typeShort     = 3
	typeLong      = 4
	typeRational  = 5
	typeUndefined = 7
)

var typeSizes = map[uint16]uint64{typeByte: 1, typeShort: 2, typeLong: 4, typeRational: 8, typeUndefined: 1}

// raw is a tag's values as bytes, and their type; nil when the tag is not there
// or its values are not within the file.
func (d directory) raw(tag uint16) (values []byte, kind uint16) {
	entry, ok := d.entries[tag]
	if !ok {
		return nil, 0
	}
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

// integers are a tag's values; nil when there are none of a whole number.
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

// size is the page's, as it is stored, in pixels.
func (d directory) size() image.Point {
	return image.Pt(d.integer(tagImageWidth, 0), d.integer(tagImageLength, 0))
}

// integer is a tag's first value.
func (d directory) integer(tag uint16, otherwise int) int {
	if n := d.integers(tag); len(n) > 0 {
		return n[0]
	}
	return otherwise
}

// resolution is in dots per inch, across the page once it is upright; 0 when the
// directory names none.
func (d directory) resolution() int {
	across := d.rational(tagXResolution)
	if orientation := d.integer(tagOrientation, 1); orientation >= 5 && orientation <= 8 { // lies on its side
		across = cmp.Or(d.rational(tagYResolution), across)
	}
	switch d.integer(tagResolutionUnit, 2) { // inch is meant when nothing is said
	case 2:
		return plausible(across)
	case 3: // centimetre
		return plausible(across * 2.54)
	}
	return 0
}

// rational is a tag's first value; 0 when there is none.
func (d directory) rational(tag uint16) float64 {
	values, kind := d.raw(tag)
	if kind != typeRational || len(values) < 8 || d.order.Uint32(values[4:]) == 0 {
		return 0
	}
	return float64(d.order.Uint32(values)) / float64(d.order.Uint32(values[4:]))
}
