// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample is the hOCR of a line with two words, shortened.
const sample = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en"><head><title></title></head><body>
<div class='ocr_page' id='page_1' title='image "stdin"; bbox 0 0 200 100; ppageno 0'>
 <div class='ocr_carea' id='block_1_1' title="bbox 10 20 110 40">
  <p class='ocr_par' id='par_1_1' lang='eng' title="bbox 10 20 110 40">
   <span class='ocr_line' id='line_1_1' title="bbox 10 20 110 40; baseline 0 -5; x_size 24">
    <span class='ocrx_word' id='word_1_1' title='bbox 10 20 50 40; x_wconf 96'><span class='ocrx_cinfo' title='x_bboxes 10 20 30 40; x_conf 99.5'>A</span><span class='ocrx_cinfo' title='x_bboxes 30 20 50 40; x_conf 40.1'>&amp;</span></span>
    <span class='ocrx_word' id='word_1_2' title='bbox 60 20 130 40; x_wconf 12.5'><strong><span class='ocrx_cinfo' title='x_bboxes 60 20 110 40; x_conf 12'>é</span></strong></span>
   </span>
  </p>
  <p class='ocr_par' id='par_1_2' title="bbox 10 50 110 70">
   <span class='ocr_textfloat' id='line_1_2' title="bbox 10 50 110 70">
    <span class='ocrx_word' id='word_1_3' title='bbox 10 50 20 70; x_wconf 95'><span class='ocrx_cinfo' title='x_bboxes 10 50 20 70; x_conf 95'> </span></span>
   </span>
  </p>
 </div>
</div></body></html>`

func parsed(t *testing.T, from frame) []line {
	t.Helper()
	pictures, err := parseHOCR([]byte(sample), []frame{from})
	if err != nil {
		t.Fatal(err)
	}
	return pictures[0]
}

// wholePage is the frame of the sample's page.
var wholePage = frame{within: image.Rect(0, 0, 200, 100)}

func TestParseHOCR(t *testing.T) {
	want := []line{
		{area: image.Rect(10, 20, 110, 40), paragraph: 1, words: []word{
			{area: image.Rect(10, 20, 50, 40), confidence: 96, characters: []character{{"A", 99.5}, {"&", 40.1}}},
			{area: image.Rect(60, 20, 130, 40), confidence: 12.5, characters: []character{{"é", 12}}},
		}},
		{area: image.Rect(10, 50, 110, 70), paragraph: 2, words: []word{
			{area: image.Rect(10, 50, 20, 70), confidence: 95, characters: []character{{" ", 95}}},
		}},
	}
	options := cmp.AllowUnexported(line{}, word{}, character{})
	if diff := cmp.Diff(want, parsed(t, wholePage), options); diff != "" {
		t.Error(diff)
	}
	// A field at 100, 200 with its margin: boxes are on the page and within the field.
	moved := parsed(t, frame{origin: image.Pt(100-margin, 200-margin), within: image.Rect(100, 200, 200, 260)})
	if got, want := moved[0].words[1].area, image.Rect(144, 204, 200, 224); got != want {
		t.Errorf("the word is at %v, want %v", got, want)
	}
}

func TestParseHOCROfSeveralPictures(t *testing.T) {
	const empty = `<div class='ocr_page' title='ppageno 1'></div>`
	frames := []frame{wholePage, wholePage, wholePage}
	got, err := parseHOCR([]byte(`<body>`+sample[strings.Index(sample, "<div"):len(sample)-len("</body></html>")]+empty+
		`<div class='ocr_page'><p class='ocr_par'><span class='ocr_line' title='bbox 1 2 3 4'/></p></div></body>`), frames)
	if err != nil {
		t.Fatal(err)
	}
	counts := []int{len(got[0]), len(got[1]), len(got[2])}
	if diff := cmp.Diff([]int{2, 0, 1}, counts); diff != "" {
		t.Errorf("lines of each picture: %s", diff)
	}
	if _, err := parseHOCR([]byte(empty), frames); err == nil {
		t.Error("hOCR of one picture is accepted for three")
	}
}

func TestBatches(t *testing.T) {
	sized := func(side, resolution int) page {
		return page{size: image.Pt(side, side), resolution: resolution}
	}
	whole := func(number, side int) area { return area{page: number, box: box{0, 0, side, side}, whole: true} }
	pages := []page{sized(3000, 200), sized(3000, 0), sized(3000, 0), sized(9000, 0), sized(10, 0)}
	areas := []area{whole(1, 3000), whole(2, 3000), whole(3, 3000), whole(4, 9000), whole(5, 10)}
	for name, test := range map[string]struct {
		defaultResolution int
		want              []batch
	}{
		"a change of resolution and too many pixels end a batch": {0, []batch{
			{areas[:1], 200}, {areas[1:3], 0}, {areas[3:4], 0}, {areas[4:], 0},
		}},
		"the default counts as a page's own": {200, []batch{
			{areas[:2], 200}, {areas[2:3], 200}, {areas[3:4], 200}, {areas[4:], 200},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := batches(pages, areas, test.defaultResolution)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(batch{}, area{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPictureOfAField(t *testing.T) {
	from := image.NewGray(image.Rect(0, 0, 4, 3))
	from.Pix[1*4+2] = 7 // at 2, 1
	from.Pix[2*4+3] = 9 // at 3, 2: outside the field
	a := area{page: 1, box: box{X: 2, Y: 1, Width: 1, Height: 1}}
	picture, where := a.picture(from)
	want := image.NewGray(image.Rect(0, 0, 1+2*margin, 1+2*margin))
	for i := range want.Pix {
		want.Pix[i] = 255
	}
	want.Pix[margin*want.Stride+margin] = 7
	if diff := cmp.Diff(want, picture); diff != "" {
		t.Error(diff)
	}
	if want := (frame{image.Pt(2-margin, 1-margin), image.Rect(2, 1, 3, 2)}); where != want {
		t.Errorf("the frame is %+v, want %+v", where, want)
	}
}

func TestCommentary(t *testing.T) {
	var seen []int
	c := messageReader{progress: func(done int) { seen = append(seen, done) }}
	for _, part := range []string{"Pa", "ge 0 : /tmp/0\nEmpty page!!\nPage 1 ", ": /tmp/1\nDetected 3 diac", "ritics\n"} {
		if n, err := c.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if diff := cmp.Diff([]int{0, 1}, seen); diff != "" {
		t.Errorf("progress: %s", diff)
	}
	if diff := cmp.Diff([]string{"Empty page!!", "Detected 3 diacritics"}, c.messages); diff != "" {
		t.Errorf("messages: %s", diff)
	}
}

func TestConfident(t *testing.T) {
	for name, test := range map[string]struct {
		minimum float64
		want    string
	}{
		"all except blanks": {0, "A& é"},
		"some characters":   {41, "A"},
		"the bound itself":  {40.1, "A&"},
		"no character":      {100, ""},
	} {
		t.Run(name, func(t *testing.T) {
			lines := confident(parsed(t, wholePage), test.minimum)
			if got := textOf(lines); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAreas(t *testing.T) {
	pages := []page{{size: image.Pt(100, 50)}, {size: image.Pt(10, 10)}}
	for name, test := range map[string]struct {
		field field
		at    string // of the refusal; "" if there is none
	}{
		"the whole page":    {field{box{0, 0, 100, 50}, 0}, ""},
		"of the other page": {field{box{0, 0, 10, 10}, 2}, ""},
		"too wide":          {field{box{1, 0, 100, 50}, 1}, "input.fields[0].area"},
		"too high":          {field{box{0, 0, 10, 11}, 2}, "input.fields[0].area"},
		"below zero":        {field{box{-1, 0, 10, 10}, 1}, "input.fields[0].area"},
		"of no width":       {field{box{0, 0, 0, 10}, 1}, "input.fields[0].area"},
		"of no page":        {field{box{0, 0, 10, 10}, 3}, "input.fields[0].page"},
	} {
		t.Run(name, func(t *testing.T) {
			areas, err := (&request{fields: []field{test.field}}).areas(pages)
			at := ""
			if r, ok := errors.AsType[*refusal](err); ok {
				at = r.at
			}
			if at != test.at || (at == "" && (len(areas) != 1 || areas[0].box != test.field.Area || areas[0].whole)) {
				t.Errorf("got %+v, %v; want a refusal at %q", areas, err, test.at)
			}
		})
	}
	whole, err := (&request{}).areas(pages)
	if err != nil || len(whole) != 2 || whole[1] != (area{index: 1, page: 2, box: box{0, 0, 10, 10}, whole: true}) {
		t.Errorf("without fields: %+v, %v", whole, err)
	}
}

func TestParseRequest(t *testing.T) {
	r, err := parseRequest([]byte(`{"source":{"data":"aGk="},"minimumCharacterConfidence":12.5,"defaultHorizontalResolution":300}`))
	if err != nil || string(r.file) != "hi" || r.language != "eng" || r.minimumConfidence != 12.5 || r.defaultResolution != 300 {
		t.Errorf("got %+v, %v", r, err)
	}
	_, err = parseRequest([]byte(`{"source":{"data":"?"}}`))
	if refused, ok := errors.AsType[*refusal](err); !ok || refused.at != "input.source.data" {
		t.Errorf("data that is not base64: got %v, want a refusal", err)
	}
}

func TestInstalledLanguages(t *testing.T) {
	got := installedLanguages([]byte("List of available languages in \"/usr/share/tessdata/\" (3):\ndeu\neng\nosd\n"))
	if diff := cmp.Diff([]string{"deu", "eng"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutput(t *testing.T) {
	pages := []page{{size: image.Pt(200, 100), resolution: 150}}
	lines := confident(parsed(t, wholePage), 41)
	whole := reading{area: area{page: 1, box: box{0, 0, 200, 100}, whole: true}, lines: lines}
	const theLine = `{"text":"A","confidence":96,"area":{"x":10,"y":20,"width":100,"height":20},"words":[{"text":"A","confidence":96,"area":{"x":10,"y":20,"width":40,"height":20}}]}`
	for name, test := range map[string]struct {
		readings []reading
		fields   bool
		want     string
	}{
		"a page":        {[]reading{whole}, false, `{"text":"A","pages":[{"width":200,"height":100,"horizontalResolution":150,"text":"A","lines":[` + theLine + `]}]}`},
		"an empty page": {[]reading{{area: whole.area}}, false, `{"text":"","pages":[{"width":200,"height":100,"horizontalResolution":150,"text":"","lines":[]}]}`},
		"a field": {
			[]reading{{area: area{page: 1, box: box{1, 2, 3, 4}}, lines: lines}}, true,
			`{"text":"A","fields":[{"page":1,"area":{"x":1,"y":2,"width":3,"height":4},"text":"A","confidence":96,"lines":[` + theLine + `]}],"pages":[{"width":200,"height":100,"horizontalResolution":150}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(newOutput(pages, test.readings, test.fields))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusalIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "error.json")
	if err := (&refusal{at: "input.language", expected: map[string]any{"enum": []string{"eng"}}, message: "no"}).write(path); err != nil {
		t.Fatal(err)
	}
	const want = `{"errorCode":"InvalidInput","errorDetails":{"in":"body","at":"input.language","expected":{"enum":["eng"]},"message":"no"}}`
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
