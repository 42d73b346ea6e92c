package main

import (
	"encoding/binary"
	"math"
)

// plausible rounds a resolution in dots per inch; 0 for what no scanner makes.
func plausible(dpi float64) int {
	if dpi < 20 || dpi > 10_000 || math.IsNaN(dpi) {
		return 0
	}
	return int(math.Round(dpi))
}

const inchesPerMetre = 39.3700787

// pngResolution reads the chunk pHYs (PNG specification, 11.3.4.3).
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

// bmpResolution reads biXPelsPerMeter of a BITMAPINFOHEADER.
func bmpResolution(file []byte) int {
	if len(file) < 42 || binary.LittleEndian.Uint32(file[14:]) < 40 {
		return 0
	}
	return plausible(float64(binary.LittleEndian.Uint32(file[38:])) / inchesPerMetre)
}

// segments calls visit for each segment of a JPEG file's head, until it returns
// true.
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

// jpegResolution reads the JFIF segment, or else the EXIF data.
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

// jpegOrientation is the EXIF orientation, 1 when there is none.
func jpegOrientation(file []byte) int {
	if d, ok := exif(file); ok {
		return d.integer(tagOrientation, 1)
	}
	return 1
}

// exif is the main directory of a JPEG file's EXIF data.
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
