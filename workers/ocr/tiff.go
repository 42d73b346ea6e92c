// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"image"
)

// tiffPages returns the pages of a TIFF file. Directories that are not pages are ignored:
// thumbnails and transparency masks (TIFF 6.0, NewSubfileType). If a directory cannot be
// read, the last page of the result has the error, in its field missing.
func tiffPages(file []byte) ([]page, error) {
	directories, listErr := tiffDirectories(file, true)
	if len(directories) == 0 {
		return nil, broken(listErr)
	}
	var pages []page
	for _, d := range directories {
		if d.isPart() && hasPage(directories) {
			continue
		}
		if len(pages) == maxPages {
			return nil, &refusal{at: dataPath, expected: map[string]any{"maxPages": maxPages}, message: fmt.Sprintf("the file has more than %d pages", maxPages)}
		}
		p, err := d.page(len(pages) + 1)
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	if listErr != nil {
		pages = append(pages, page{missing: onPage(len(pages)+1, broken(listErr))})
	}
	return pages, nil
}

func hasPage(directories []directory) bool {
	for _, d := range directories {
		if !d.isPart() {
			return true
		}
	}
	return false
}

// isPart reports whether the directory is a smaller copy or a mask of another one.
func (d directory) isPart() bool {
	const reduced, mask, oldReduced = 1, 4, 2
	return d.integer(tagNewSubfileType, 0)&(reduced|mask) != 0 || d.integer(tagSubfileType, 0) == oldReduced
}

// page returns the page of the directory.
func (d directory) page(number int) (page, error) {
	if err := checkPixels(d.size()); err != nil {
		return page{}, err
	}
	source := magick{file: d.file, patches: d.singlePagePatches(), format: "TIFF", corrections: d.corrections()}
	orientation := d.integer(tagOrientation, 1)
	return page{
		size: uprightSize(d.size(), orientation), resolution: d.resolution(),
		decode: func(ctx context.Context) (*image.Gray, error) {
			picture, err := source.decode(ctx)
			if err == nil && picture.Rect.Max != d.size() {
				err = broken(errors.New("its size is not the size in its directory"))
			}
			if err != nil {
				return nil, onPage(number, err)
			}
			return upright(picture, orientation), nil
		},
	}, nil
}

// singlePagePatches returns the patches that make this directory the only one of its file
// and set its orientation to 1. Otherwise ImageMagick would read the whole list first, and
// libtiff would apply some orientations.
func (d directory) singlePagePatches() map[int64][]byte {
	first := make([]byte, 4)
	d.order.PutUint32(first, d.offset)
	patches := map[int64][]byte{4: first, int64(d.link): make([]byte, 4)}
	if entry, ok := d.entries[tagOrientation]; ok {
		one := make([]byte, 10)
		d.order.PutUint16(one, typeShort)
		d.order.PutUint32(one[2:], 1)
		d.order.PutUint16(one[6:], 1)
		patches[int64(entry+2)] = one
	}
	return patches
}

// onPage adds the number of the page to an error. A refusal stays a refusal.
func onPage(number int, err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		refused.message = fmt.Sprintf("page %d: %s", number, refused.message)
		return refused
	}
	return fmt.Errorf("decode page %d: %w", number, err)
}

// corrections returns the options that correct how ImageMagick 6 reads extra samples,
// which are those beyond the samples of the colour; nil if none are necessary.
func (d directory) corrections() []string {
	const associated, unassociated, whiteIsZero, rgb, separated, ycbcr, lab = 1, 2, 0, 2, 5, 6, 8
	colours := map[int]int{rgb: 3, ycbcr: 3, lab: 3, separated: 4}[d.integer(tagPhotometric, 1)]
	if d.integer(tagSamplesPerPixel, 1) <= max(colours, 1) {
		return nil
	}
	switch d.integer(tagExtraSamples, 0) {
	case associated, unassociated:
		if d.integer(tagPhotometric, 1) == whiteIsZero {
			return []string{"-channel", "RGB", "-negate", "+channel"} // ImageMagick reads it as if 0 was black
		}
		return nil
	default:
		return []string{"-alpha", "off"} // ImageMagick reads it as transparency, but it has another meaning
	}
}
