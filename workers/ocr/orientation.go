// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "image"

// upright rotates and mirrors an image so that it is upright. The orientation, 1 to 8,
// is that of EXIF and TIFF. Other values leave the image as it is.
func upright(source *image.Gray, orientation int) *image.Gray {
	if orientation < 2 || orientation > 8 {
		return source
	}
	w, h := source.Bounds().Dx(), source.Bounds().Dy()
	size := uprightSize(image.Pt(w, h), orientation)
	target := image.NewGray(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			sx, sy := x, y
			switch orientation {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, h-1-x
			case 7:
				sx, sy = w-1-y, h-1-x
			case 8:
				sx, sy = w-1-y, x
			}
			target.Pix[y*target.Stride+x] = source.Pix[sy*source.Stride+sx]
		}
	}
	return target
}

// uprightSize returns the size of an image after upright. Orientations 5 to 8 include a
// quarter turn.
func uprightSize(size image.Point, orientation int) image.Point {
	if orientation >= 5 && orientation <= 8 {
		return image.Pt(size.Y, size.X)
	}
	return size
}
