// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command generate writes the page images in workers/ocr/testdata:
//
//	cd workers/ocr/testdata && go build -C generate -o generate . && generate/generate
//
// Go has no encoder for some of the formats. note.webp was made with cwebp from note.png,
// which this program writes to the temporary directory. The other TIFF files and
// cmyk.jpg were made with libtiff's tiffcp and ImageMagick from a line of page.png.
// page.txt is the text that tesseract 5.3.0 reads on page.png, and sample.hocr is its
// hOCR for a part of that page.
package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/image/bmp"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/tiff"
)

const dpi = 150

// text is a line of text. x is its left edge and y its baseline, in pixels from the
// upper left corner.
type text struct {
	x, y   int
	points float64
	bold   bool
	words  string
}

var invoice = []text{
	{110, 150, 22, true, "Harbour Lights Trading Co."},
	{110, 200, 10, false, "14 Quayside Lane, Port Wexley"},
	{110, 310, 15, true, "Invoice 2026-0417"},
	{110, 360, 11, false, "Date: 12 March 2026"},
	{110, 395, 11, false, "Customer: Meadow & Finch Ltd"},
	{110, 490, 11, false, "Thank you for your order. Please find below the goods that"},
	{110, 525, 11, false, "left our warehouse on Tuesday, with the amounts due."},
	{110, 620, 11, true, "Description"}, {760, 620, 11, true, "Amount"},
	{110, 670, 11, false, "Brass ship lantern, large"}, {760, 670, 11, false, "184.50"},
	{110, 710, 11, false, "Cotton rope, 25 metres"}, {760, 710, 11, false, "37.20"},
	{110, 750, 11, false, "Oak tide clock"}, {760, 750, 11, false, "92.00"},
	{110, 830, 12, true, "Total"}, {760, 830, 12, true, "313.70"},
	{110, 940, 11, false, "Payment is due within thirty days. Questions are welcome"},
	{110, 975, 11, false, "at any time; our office answers on weekdays."},
}

func main() {
	write("page.png", withResolution(encodePNG(set(1000, 1100, invoice))))
	letter := set(900, 420, []text{
		{80, 100, 14, true, "Dear Members,"},
		{80, 180, 12, false, "The annual meeting takes place on Friday"},
		{80, 225, 12, false, "evening in the old town hall."},
		{80, 330, 12, false, "With kind regards, the committee"},
	})
	var buffer bytes.Buffer
	check(jpeg.Encode(&buffer, letter, &jpeg.Options{Quality: 85}))
	write("letter.jpg", buffer.Bytes())

	first := set(800, 300, []text{{80, 150, 16, true, "First page of two"}})
	second := set(800, 300, []text{{80, 150, 16, false, "Second page, the last"}})
	write("two-pages.tif", joinTIFF(encodeTIFF(first), encodeTIFF(second)))

	buffer.Reset()
	check(bmp.Encode(&buffer, set(420, 160, []text{{40, 90, 16, true, "Receipt 5508"}})))
	write("receipt.bmp", buffer.Bytes())
	write("empty.png", encodePNG(set(600, 400, nil)))
	check(os.WriteFile(filepath.Join(os.TempDir(), "note.png"), encodePNG(set(600, 160, []text{{40, 90, 16, false, "Meet me at noon"}})), 0o644))
}

// set draws lines of text on a white page.
func set(width, height int, lines []text) *image.Gray {
	page := image.NewGray(image.Rect(0, 0, width, height))
	draw.Draw(page, page.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for _, l := range lines {
		data := goregular.TTF
		if l.bold {
			data = gobold.TTF
		}
		parsed, err := opentype.Parse(data)
		check(err)
		face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: l.points, DPI: dpi, Hinting: font.HintingFull})
		check(err)
		d := font.Drawer{Dst: page, Src: image.Black, Face: face, Dot: fixed.P(l.x, l.y)}
		d.DrawString(l.words)
	}
	return page
}

func encodePNG(i image.Image) []byte {
	var buffer bytes.Buffer
	check(png.Encode(&buffer, i))
	return buffer.Bytes()
}

// withResolution inserts the chunk pHYs after the first chunk, IHDR.
func withResolution(file []byte) []byte {
	const head = 8 + 25
	body := []byte("pHYs")
	const perMetre uint32 = 5906 // 150 dpi
	body = binary.BigEndian.AppendUint32(body, perMetre)
	body = binary.BigEndian.AppendUint32(body, perMetre)
	body = append(body, 1)
	chunk := binary.BigEndian.AppendUint32(nil, 9)
	chunk = append(chunk, body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(body))
	return append(append(append([]byte{}, file[:head]...), chunk...), file[head:]...)
}

func encodeTIFF(i image.Image) []byte {
	var buffer bytes.Buffer
	check(tiff.Encode(&buffer, i, &tiff.Options{Compression: tiff.Deflate}))
	return buffer.Bytes()
}

// joinTIFF joins two files into one with two pages. It appends the second file to the
// first, adjusts its offsets, and links its directory to the first one.
func joinTIFF(first, second []byte) []byte {
	le := binary.LittleEndian
	joined := append([]byte{}, first...)
	for len(joined)%2 != 0 {
		joined = append(joined, 0)
	}
	base := uint32(len(joined))
	joined = append(joined, second...)
	directory := base + le.Uint32(second[4:])
	for i := range uint32(le.Uint16(joined[directory:])) {
		entry := joined[directory+2+12*i:]
		size := map[uint16]uint32{1: 1, 2: 1, 3: 2, 4: 4, 5: 8}[le.Uint16(entry[2:])]
		const stripOffsets = 273
		if size*le.Uint32(entry[4:]) > 4 || le.Uint16(entry) == stripOffsets {
			le.PutUint32(entry[8:], le.Uint32(entry[8:])+base)
		}
	}
	last := le.Uint32(first[4:])
	last += 2 + 12*uint32(le.Uint16(first[last:]))
	le.PutUint32(joined[last:], directory)
	return joined
}

func write(name string, data []byte) { check(os.WriteFile(name, data, 0o644)) }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
