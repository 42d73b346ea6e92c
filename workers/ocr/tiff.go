package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os/exec"
	"slices"

	"golang.org/x/image/tiff"
)

// tiffPages finds every page of a TIFF file. No decoder at hand is used for more
// than a file's first page; so each page is decoded from a copy of the file
// whose header names that page's directory.
func tiffPages(file []byte) ([]page, error) {
	directories, err := tiffDirectories(file, true)
	if err != nil {
		return nil, broken(err)
	}
	if len(directories) > maxPages {
		return nil, &refusal{at: dataPath, expected: map[string]any{"maxPages": maxPages}, message: "the file has more pages"}
	}
	var pages []page
	for i, d := range directories {
		if err := checkPixels(d.size()); err != nil {
			return nil, err
		}
		orientation := d.integer(tagOrientation, 1)
		decode := func(ctx context.Context) (*image.Gray, error) {
			decoded, err := d.decode(ctx)
			if refused, ok := errors.AsType[*refusal](err); ok {
				refused.message = fmt.Sprintf("page %d: %s", i+1, refused.message)
				return nil, refused
			}
			if err != nil {
				return nil, fmt.Errorf("decode page %d: %w", i+1, err)
			}
			return upright(gray(decoded), orientation), nil
		}
		pages = append(pages, page{size: uprightSize(d.size(), orientation), resolution: d.resolution(), decode: decode})
	}
	return pages, nil
}

// decode decodes the page as it is stored. What is broken is a refusal.
func (d directory) decode(ctx context.Context) (image.Image, error) {
	if d.integer(tagCompression, 1) == compressionJPEG {
		decoded, err := d.decodeJPEG()
		if err != nil {
			return nil, broken(err)
		}
		return decoded, nil
	}
	alone := d.alone()
	decoded, unread := tiff.Decode(bytes.NewReader(alone))
	if unread == nil {
		return d.corrected(decoded), nil
	}
	// Whether the file is broken or of a kind unknown to the decoder, its error
	// does not tell.
	decoded, err := convertTIFF(ctx, alone)
	if errors.Is(err, exec.ErrNotFound) {
		return nil, broken(unread)
	}
	if err == nil && decoded.Bounds().Size() != d.size() {
		return nil, broken(errors.New("its size is not what it says"))
	}
	return decoded, err
}

// corrected is what the Go decoder made, but for its fault with fax compression:
// it takes a run of white for white even where the page says that 0, which such
// a run stands for, is black.
func (d directory) corrected(decoded image.Image) image.Image {
	const group3, group4, blackIsZero = 3, 4, 1
	compression := d.integer(tagCompression, 1)
	if (compression != group3 && compression != group4) || d.integer(tagPhotometric, 0) != blackIsZero {
		return decoded
	}
	return inverted(gray(decoded))
}

// inverted turns the picture it is given into its negative.
func inverted(picture *image.Gray) *image.Gray {
	for i := range picture.Pix {
		picture.Pix[i] = 255 - picture.Pix[i]
	}
	return picture
}

// alone is a copy of the file with this page only, as it is stored: libtiff's
// program would turn some of the orientations.
func (d directory) alone() []byte {
	file := slices.Clone(d.file)
	d.order.PutUint32(file[4:], d.offset)
	entries := file[d.offset+2:]
	count := int(d.order.Uint16(file[d.offset:]))
	for i := range count {
		if entry := entries[12*i:]; d.order.Uint16(entry) == tagOrientation && d.order.Uint16(entry[2:]) == typeShort {
			d.order.PutUint16(entry[8:], 1)
		}
	}
	d.order.PutUint32(entries[12*count:], 0)
	return file
}
