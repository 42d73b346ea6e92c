package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"slices"

	"golang.org/x/image/tiff"
)

// The tags of a TIFF directory that are looked at here (TIFF 6.0).
const (
	tagOrientation    = 274
	tagXResolution    = 282
	tagResolutionUnit = 296
)

// directory is one image file directory: one page.
type directory struct {
	offset uint32
	// tags holds what the entries of one value say, rationals as their quotient.
	tags map[uint16]float64
}

// tiffPages decodes every page of a TIFF file. The decoder reads the first
// directory that the header names; so it is given the file once per page, with
// the header naming that page's.
func tiffPages(file []byte) ([]page, error) {
	order, directories, err := tiffDirectories(file, true)
	if err != nil {
		return nil, broken(err)
	}
	if len(directories) > maxPages {
		return nil, &refusal{at: dataPath, expected: map[string]any{"maxPages": maxPages}, message: "the file has more pages"}
	}
	file = slices.Clone(file)
	pixels := 0
	var pages []page
	for i, d := range directories {
		order.PutUint32(file[4:], d.offset)
		config, err := tiff.DecodeConfig(bytes.NewReader(file))
		if err != nil {
			return nil, broken(fmt.Errorf("page %d: %w", i+1, err))
		}
		pixels += config.Width * config.Height
		if err := checkPixels(pixels); err != nil {
			return nil, err
		}
		var decoded image.Image
		if decoded, err = tiff.Decode(bytes.NewReader(file)); err != nil {
			return nil, broken(fmt.Errorf("page %d: %w", i+1, err))
		}
		pages = append(pages, page{
			image:      upright(gray(decoded), int(d.tags[tagOrientation])),
			resolution: d.resolution(),
		})
	}
	return pages, nil
}

// resolution is in dots per inch; 0 when the directory names none.
func (d directory) resolution() int {
	switch unit, ok := d.tags[tagResolutionUnit]; {
	case !ok || unit == 2: // inch, and what is meant when nothing is said
		return plausible(d.tags[tagXResolution])
	case unit == 3: // centimetre
		return plausible(d.tags[tagXResolution] * 2.54)
	}
	return 0
}

// tiffDirectories reads the directories of a file, or of EXIF data, which has
// the same form; only the first unless all is set.
func tiffDirectories(file []byte, all bool) (binary.ByteOrder, []directory, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if begins(file, "MM") {
		order = binary.BigEndian
	}
	if len(file) < 8 {
		return nil, nil, errors.New("the file ends in its header")
	}
	var directories []directory
	seen := map[uint32]bool{}
	for offset := order.Uint32(file[4:]); offset != 0 && len(directories) <= maxPages; {
		if seen[offset] {
			return nil, nil, errors.New("its chain of directories is a circle")
		}
		seen[offset] = true
		d, next, err := readDirectory(file, order, offset)
		if err != nil {
			return nil, nil, err
		}
		directories = append(directories, d)
		if !all {
			break
		}
		offset = next
	}
	if len(directories) == 0 {
		return nil, nil, errors.New("it has no directory")
	}
	return order, directories, nil
}

func readDirectory(file []byte, order binary.ByteOrder, offset uint32) (directory, uint32, error) {
	truncated := errors.New("the file ends in a directory")
	if uint64(offset)+2 > uint64(len(file)) {
		return directory{}, 0, truncated
	}
	count := int(order.Uint16(file[offset:]))
	entries := file[offset+2:]
	if len(entries) < 12*count+4 {
		return directory{}, 0, truncated
	}
	d := directory{offset: offset, tags: map[uint16]float64{}}
	for i := range count {
		entry := entries[12*i : 12*i+12]
		if order.Uint32(entry[4:]) != 1 {
			continue
		}
		const short, long, rational = 3, 4, 5
		tag := order.Uint16(entry)
		switch order.Uint16(entry[2:]) {
		case short:
			d.tags[tag] = float64(order.Uint16(entry[8:]))
		case long:
			d.tags[tag] = float64(order.Uint32(entry[8:]))
		case rational:
			if at := uint64(order.Uint32(entry[8:])); at+8 <= uint64(len(file)) {
				if divisor := order.Uint32(file[at+4:]); divisor != 0 {
					d.tags[tag] = float64(order.Uint32(file[at:])) / float64(divisor)
				}
			}
		}
	}
	return d, order.Uint32(entries[12*count:]), nil
}
