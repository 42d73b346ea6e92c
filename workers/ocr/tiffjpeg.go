// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
)

// compressionJPEG is the compression of a page whose strips or tiles are JPEG files, as
// scanners write them (TIFF Technical Note 2). Go's decoder does not support it, and
// libtiff's program needs nine bytes of memory for each pixel.
const compressionJPEG = 7

// decodeJPEG decodes a page whose strips or tiles are JPEG files. They can share their
// tables, which are then in a tag of their own.
func (d directory) decodeJPEG() (image.Image, error) {
	size := d.size()
	chunk := image.Pt(size.X, min(d.integer(tagRowsPerStrip, size.Y), size.Y))
	offsets, lengths := d.integers(tagStripOffsets), d.integers(tagStripByteCounts)
	if d.integer(tagTileWidth, 0) > 0 {
		chunk = image.Pt(d.integer(tagTileWidth, 0), d.integer(tagTileLength, 0))
		offsets, lengths = d.integers(tagTileOffsets), d.integers(tagTileByteCounts)
	}
	// Tiles can extend beyond the page, so they need a bound of their own.
	if err := checkPixels(chunk); err != nil {
		return nil, err
	}
	across, down := (size.X+chunk.X-1)/chunk.X, (size.Y+chunk.Y-1)/chunk.Y
	if err := checkPixels(image.Pt(across*chunk.X, down*chunk.Y)); err != nil {
		return nil, err
	}
	if d.integer(tagPlanar, 1) != 1 {
		return nil, errors.New("JPEG with a separate plane for each colour is not supported")
	}
	if len(offsets) != across*down || len(lengths) != len(offsets) {
		return nil, fmt.Errorf("it has %d strips or tiles, expected %d", len(offsets), across*down)
	}
	page := image.NewGray(image.Rectangle{Max: size})
	for i := range offsets {
		if offsets[i]+lengths[i] > len(d.file) {
			return nil, errors.New("the file ends within a page")
		}
		part, err := d.decodePart(d.file[offsets[i]:offsets[i]+lengths[i]], chunk)
		if err != nil {
			return nil, err
		}
		at := image.Pt(i%across*chunk.X, i/across*chunk.Y)
		draw.Draw(page, image.Rectangle{at, at.Add(chunk)}, part, image.Point{}, draw.Src)
	}
	return page, nil
}

// decodePart decodes a strip or tile that is at most maxSize large.
func (d directory) decodePart(file []byte, maxSize image.Point) (*image.Gray, error) {
	// Both are JPEG files: remove the end marker of the first and the start marker of
	// the second.
	if tables, _ := d.raw(tagJPEGTables); len(tables) > 4 && len(file) > 2 {
		file = append(bytes.Clone(tables[:len(tables)-2]), file[2:]...)
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	// The last strip or tile can be padded to a whole block.
	const block = 64
	if config.Width > maxSize.X+block || config.Height > maxSize.Y+block {
		return nil, errors.New("a strip or tile is larger than the directory says")
	}
	decoded, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	const whiteIsZero, rgb = 0, 2
	part := gray(decoded)
	switch d.integer(tagPhotometric, 1) {
	case whiteIsZero:
		return inverted(part), nil
	case rgb:
		// The planes are red, green and blue. The JPEG file does not contain this fact.
		if planes, ok := decoded.(*image.YCbCr); ok {
			return grayOfRGB(planes), nil
		}
	}
	return part, nil
}

// grayOfRGB converts planes that contain red, green and blue to grey, with the weights
// of the JPEG standard.
func grayOfRGB(planes *image.YCbCr) *image.Gray {
	bounds := planes.Bounds()
	target := image.NewGray(bounds)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			red, other := int(planes.Y[planes.YOffset(x, y)]), planes.COffset(x, y)
			target.Pix[target.PixOffset(x, y)] = uint8((299*red + 587*int(planes.Cb[other]) + 114*int(planes.Cr[other])) / 1000)
		}
	}
	return target
}
