// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"image"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden returns the lines of testdata/sample.hocr. Tesseract made it from a part of
// page.png, 650 by 310 pixels from 90, 110:
//
//	tesseract stdin stdout -l eng --psm 3 -c hocr_char_boxes=1 --dpi 150 hocr
func golden(t *testing.T, origin image.Point, within image.Rectangle) []line {
	t.Helper()
	pictures, err := parseHOCR(testdata(t, "sample.hocr"), []frame{{origin, within}})
	if err != nil {
		t.Fatal(err)
	}
	return pictures[0]
}

func TestParseHOCROfTesseract(t *testing.T) {
	lines := golden(t, image.Point{}, image.Rect(0, 0, 650, 310))
	const text = `Harbour Lights Trading Co.

14 Quayside Lane, Port Wexley

Invoice 2026-0417

Date: 12 March 2026
Customer: Meadow & Finch Ltd`
	if diff := cmp.Diff(text, textOf(lines)); diff != "" {
		t.Error(diff)
	}
	type wordAt struct {
		Text       string
		Confidence float64
		Area       box
	}
	var got []wordAt
	for _, w := range lines[2].words {
		got = append(got, wordAt{w.text(), w.confidence, boxOf(w.area)})
	}
	want := []wordAt{{"Invoice", 96, box{21, 176, 110, 24}}, {"2026-0417", 94, box{142, 177, 152, 24}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, want := lines[0].words[0].characters[0], (character{"H", 99.566269}); got != want {
		t.Errorf("the first character is %v, want %v", got, want)
	}
	if got, want := confidence(lines[2:3]), 95.0; got != want {
		t.Errorf("the line's confidence is %v, want %v", got, want)
	}
}

func TestParseHOCRMovesBoxes(t *testing.T) {
	within := image.Rect(90, 110, 740, 420)
	lines := golden(t, within.Min, within)
	if got, want := lines[2].area, image.Rect(111, 286, 384, 311); got != want {
		t.Errorf("the line is at %v, want %v", got, want)
	}
}

// Other text must not crash the worker. It is an error or has no lines.
func TestParseHOCROfOtherText(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		lines int
		fails bool
	}{
		"nothing":                     {"", 0, false},
		"a word without a line":       {`<span class='ocrx_word' title='bbox 0 0 1 1'>a</span>`, 0, false},
		"a character without a word":  {`<span class='ocr_line' title='bbox 0 0 1 1'><span class='ocrx_cinfo'>a</span></span>`, 1, false},
		"a line without a box":        {`<span class='ocr_line'></span>`, 1, false},
		"a box of three numbers":      {`<span class='ocr_line' title='bbox 1 2 3'></span>`, 1, false},
		"a box of words":              {`<span class='ocr_line' title='bbox a b c d'></span>`, 1, false},
		"text that ends within a tag": {`<span class='ocr_line`, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []line
			pictures, err := parseHOCR([]byte(`<div class='ocr_page'/>`+test.text), []frame{{within: image.Rect(0, 0, 10, 10)}})
			if err == nil {
				lines = pictures[0]
			}
			if (err != nil) != test.fails || len(lines) != test.lines {
				t.Errorf("got %d lines, %v; want %d, failure: %t", len(lines), err, test.lines, test.fails)
			}
			for _, l := range lines {
				if !l.area.Empty() && !l.area.In(image.Rect(0, 0, 10, 10)) {
					t.Errorf("a line at %v", l.area)
				}
			}
			if kept := confident(lines, 0); len(kept) != 0 {
				t.Errorf("%d lines of text", len(kept))
			}
		})
	}
}
