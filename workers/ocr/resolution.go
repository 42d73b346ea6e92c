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
	if body := pngChunks.find(file[8:], "pHYs"); len(body) == 9 && body[8] == 1 { // per metre
		return plausible(float64(binary.BigEndian.Uint32(body)) / inchesPerMetre)
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

// jpegResolution returns the resolution in the JFIF segment, or 0.
func jpegResolution(file []byte) (dpi int) {
	for _, body := range segments(file, 0xe0) {
		if begins(body, "JFIF\x00") && len(body) >= 12 {
			density := float64(binary.BigEndian.Uint16(body[8:]))
			switch body[7] {
			case 1: // per inch
				return plausible(density)
			case 2: // per centimetre
				return plausible(density * 2.54)
			}
		}
	}
	return 0
}
