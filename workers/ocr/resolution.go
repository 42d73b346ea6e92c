// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"math"
)

// plausible rounds a resolution in dots per inch. It returns 0 for a value that no
// scanner has.
func plausible(dpi float64) int {
	if dpi < 20 || dpi > 10_000 || math.IsNaN(dpi) {
		return 0
	}
	return int(math.Round(dpi))
}

const inchesPerMetre = 39.3700787

// pngResolution returns the resolution in the chunk pHYs, or 0 (PNG specification,
// section 11.3.4.3).
func pngResolution(file []byte) int {
	for chunk := file[8:]; len(chunk) >= 12; {
		length, kind := int(binary.BigEndian.Uint32(chunk)), string(chunk[4:8])
		if length < 0 || len(chunk) < 12+length || kind == "IDAT" {
			break
		}
		if body := chunk[8 : 8+length]; kind == "pHYs" && length == 9 && body[8] == 1 { // per metre
			return plausible(float64(binary.BigEndian.Uint32(body)) / inchesPerMetre)
		}
		chunk = chunk[12+length:]
	}
	return 0
}

// bmpResolution returns the resolution in biXPelsPerMeter of the BITMAPINFOHEADER, or 0.
func bmpResolution(file []byte) int {
	if len(file) < 42 || binary.LittleEndian.Uint32(file[14:]) < 40 {
		return 0
	}
	return plausible(float64(binary.LittleEndian.Uint32(file[38:])) / inchesPerMetre)
}

// segments calls visit for each segment of a JPEG file before the image data, until
// visit returns true.
func segments(file []byte, visit func(marker byte, body []byte) bool) {
	const startOfScan = 0xda
	for rest := file[2:]; len(rest) >= 4 && rest[0] == 0xff && rest[1] != startOfScan; {
		length := int(binary.BigEndian.Uint16(rest[2:]))
		if length < 2 || len(rest) < 2+length || visit(rest[1], rest[4:2+length]) {
			return
		}
		rest = rest[2+length:]
	}
}

// jpegResolution returns the resolution in the JFIF segment, or else in the EXIF data,
// or 0.
func jpegResolution(file []byte) (dpi int) {
	segments(file, func(marker byte, body []byte) bool {
		if marker == 0xe0 && begins(body, "JFIF\x00") && len(body) >= 12 {
			density := float64(binary.BigEndian.Uint16(body[8:]))
			switch body[7] {
			case 1: // per inch
				dpi = plausible(density)
			case 2: // per centimetre
				dpi = plausible(density * 2.54)
			}
		}
		return dpi != 0
	})
	if d, ok := exif(file); ok && dpi == 0 {
		dpi = d.resolution()
	}
	return dpi
}

// jpegOrientation returns the EXIF orientation, or 1 if there is none.
func jpegOrientation(file []byte) int {
	if d, ok := exif(file); ok {
		return d.integer(tagOrientation, 1)
	}
	return 1
}

// exif returns the main directory of the EXIF data in a JPEG file.
func exif(file []byte) (d directory, ok bool) {
	segments(file, func(marker byte, body []byte) bool {
		if marker != 0xe1 || !begins(body, "Exif\x00\x00") {
			return false
		}
		if directories, err := tiffDirectories(body[6:], false); err == nil {
			d, ok = directories[0], true
		}
		return true
	})
	return d, ok
}
