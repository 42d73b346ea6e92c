// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"image"
	"math"
)

// plausibleDPI rounds a resolution in dots per inch. It returns 0 for a value that no
// scanner has.
func plausibleDPI(dpi float64) int {
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
		return plausibleDPI(float64(binary.BigEndian.Uint32(body)) / inchesPerMetre)
	}
	return 0
}

// bmpResolution returns the resolution in biXPelsPerMeter of the BITMAPINFOHEADER, or 0.
func bmpResolution(file []byte) int {
	if len(file) < 42 || binary.LittleEndian.Uint32(file[14:]) < 40 {
		return 0
	}
	return plausibleDPI(float64(binary.LittleEndian.Uint32(file[38:])) / inchesPerMetre)
}

// jpegResolution returns the resolution in the JFIF segment, or 0.
func jpegResolution(file []byte) (dpi int) {
	for _, body := range segments(file, 0xe0) {
		if hasPrefix(body, "JFIF\x00") && len(body) >= 12 {
			density := float64(binary.BigEndian.Uint16(body[8:]))
			switch body[7] {
			case 1: // per inch
				return plausibleDPI(density)
			case 2: // per centimetre
				return plausibleDPI(density * 2.54)
			}
		}
	}
	return 0
}

// pngSize, jpegSize, bmpSize and webpSize return the size of an image as it is stored, or
// zero if the file ends before it.
func pngSize(file []byte) image.Point {
	if len(file) < 24 {
		return image.Point{}
	}
	return image.Pt(int(binary.BigEndian.Uint32(file[16:])), int(binary.BigEndian.Uint32(file[20:])))
}

func jpegSize(file []byte) image.Point {
	// Start of frame, in all kinds of compression (ITU-T T.81, table B.1).
	for _, marker := range []byte("\xc0\xc1\xc2\xc3\xc5\xc6\xc7\xc9\xca\xcb\xcd\xce\xcf") {
		for _, body := range segments(file, marker) {
			if len(body) >= 5 {
				return image.Pt(int(binary.BigEndian.Uint16(body[3:])), int(binary.BigEndian.Uint16(body[1:])))
			}
		}
	}
	return image.Point{}
}

func bmpSize(file []byte) image.Point {
	const os2Header = 12
	le := binary.LittleEndian
	switch {
	case len(file) < 26:
		return image.Point{}
	case le.Uint32(file[14:]) == os2Header:
		return image.Pt(int(le.Uint16(file[18:])), int(le.Uint16(file[20:])))
	}
	width, height := int32(le.Uint32(file[18:])), int32(le.Uint32(file[22:]))
	return image.Pt(int(width), max(int(height), -int(height))) // the height is negative if the first row is the top row
}

// webpSize reads the first chunk: VP8, VP8L or VP8X (RFC 9649, sections 2.5 to 2.7).
func webpSize(file []byte) image.Point {
	if len(file) < 30 {
		return image.Point{}
	}
	le := binary.LittleEndian
	switch body := file[20:]; string(file[12:16]) {
	case "VP8 ":
		return image.Pt(int(le.Uint16(body[6:])&0x3fff), int(le.Uint16(body[8:])&0x3fff))
	case "VP8L":
		bits := le.Uint32(body[1:])
		return image.Pt(int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1)
	case "VP8X":
		return image.Pt(int(le.Uint32(body[4:])&0xffffff)+1, int(le.Uint32(body[6:])>>8)+1)
	}
	return image.Point{}
}
