// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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

// tiffPages returns the pages of a TIFF file. The decoders decode only the first page
// of a file. So each page is decoded from a copy of the file whose header points to
// the directory of that page.
func tiffPages(file []byte) ([]page, error) {
	directories, err := tiffDirectories(file, true)
	if err != nil {
		return nil, broken(err)
	}
	if len(directories) > maxPages {
		return nil, &refusal{at: dataPath, expected: map[string]any{"maxPages": maxPages}, message: fmt.Sprintf("the file has more than %d pages", maxPages)}
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

// decode decodes the page as it is stored. The error is a refusal if the file is
// damaged.
func (d directory) decode(ctx context.Context) (image.Image, error) {
	if d.integer(tagCompression, 1) == compressionJPEG {
		decoded, err := d.decodeJPEG()
		if err != nil {
			return nil, broken(err)
		}
		return decoded, nil
	}
	alone := d.alone()
	decoded, goErr := tiff.Decode(bytes.NewReader(alone))
	if goErr == nil {
		return d.corrected(decoded), nil
	}
	// The error does not tell whether the file is damaged or only of a kind that Go's
	// decoder does not support.
	decoded, err := convertTIFF(ctx, alone)
	if errors.Is(err, exec.ErrNotFound) {
		return nil, broken(goErr)
	}
	if err == nil && decoded.Bounds().Size() != d.size() {
		return nil, broken(errors.New("its size is not the size in its directory"))
	}
	return decoded, err
}

// corrected corrects an error of Go's decoder with fax compression: it decodes a run
// of white pixels as white even if the directory says that 0, the value of such
// pixels, is black.
func (d directory) corrected(decoded image.Image) image.Image {
	const group3, group4, blackIsZero = 3, 4, 1
	compression := d.integer(tagCompression, 1)
	if (compression != group3 && compression != group4) || d.integer(tagPhotometric, 0) != blackIsZero {
		return decoded
	}
	return inverted(gray(decoded))
}

// inverted inverts a picture in place.
func inverted(picture *image.Gray) *image.Gray {
	for i := range picture.Pix {
		picture.Pix[i] = 255 - picture.Pix[i]
	}
	return picture
}

// alone returns a copy of the file with only this page. Its orientation is reset,
// because libtiff's program applies some orientations on its own.
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
