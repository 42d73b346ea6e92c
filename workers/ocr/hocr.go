// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"
	"strconv"
	"strings"
)

// line is a line of text that tesseract has read. Its words, and their characters, are in
// reading order.
type line struct {
	area  image.Rectangle
	words []word
	// paragraph is the number of the line's paragraph. Lines of one paragraph have the
	// same number.
	paragraph int
}

type word struct {
	area       image.Rectangle
	confidence float64 // 0 to 100
	characters []character
}

type character struct {
	text       string
	confidence float64 // 0 to 100
}

// lineClasses are the classes of hOCR elements that are lines of text.
var lineClasses = []string{"ocr_line", "ocr_header", "ocr_caption", "ocr_textfloat"}

// frame is the position of a picture on its page.
type frame struct {
	// origin is the position of the picture's upper left corner on the page.
	origin image.Point
	// within is the area of the page that the picture shows. Boxes are cut to it, because
	// they can extend into the margin.
	within image.Rectangle
}

// parseHOCR parses hOCR with character boxes and returns the lines of each picture, in
// the order of the frames.
func parseHOCR(text []byte, frames []frame) ([][]line, error) {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	decoder.Strict = false
	decoder.Entity = xml.HTMLEntity
	p := hocrParser{frames: frames}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read hOCR: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			p.open(attribute(token, "class"), attribute(token, "title"))
		case xml.CharData:
			if p.character != nil {
				p.character.text += string(token)
			}
		case xml.EndElement:
			p.character = nil
		}
	}
	if len(p.pictures) != len(frames) {
		return nil, fmt.Errorf("read hOCR: it has %d pictures, expected %d", len(p.pictures), len(frames))
	}
	return p.pictures, nil
}

// hocrParser is the state of parseHOCR.
type hocrParser struct {
	frames    []frame
	pictures  [][]line
	paragraph int
	character *character // the character whose text follows; nil if none
}

// open handles the start of an element. It ignores an element that is not inside the
// elements that must enclose it; tesseract does not write such elements.
func (p *hocrParser) open(class, title string) {
	if class == "ocr_page" {
		p.pictures = append(p.pictures, nil)
		return
	}
	n := len(p.pictures)
	if n == 0 || n > len(p.frames) {
		return
	}
	lines, f := &p.pictures[n-1], p.frames[n-1]
	switch {
	case class == "ocr_par":
		p.paragraph++
	case slices.Contains(lineClasses, class):
		*lines = append(*lines, line{area: f.boxOnPage(title), paragraph: p.paragraph})
	case class == "ocrx_word" && len(*lines) > 0:
		last := &(*lines)[len(*lines)-1]
		last.words = append(last.words, word{area: f.boxOnPage(title), confidence: number(title, "x_wconf")})
	case class == "ocrx_cinfo" && len(*lines) > 0 && len((*lines)[len(*lines)-1].words) > 0:
		words := (*lines)[len(*lines)-1].words
		last := &words[len(words)-1]
		last.characters = append(last.characters, character{confidence: number(title, "x_conf")})
		p.character = &last.characters[len(last.characters)-1]
	}
}

func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// property returns the values of a property in a title. A title is a list of properties
// "name value value", separated by semicolons.
func property(title, name string) []string {
	for part := range strings.SplitSeq(title, ";") {
		if fields := strings.Fields(part); len(fields) > 1 && fields[0] == name {
			return fields[1:]
		}
	}
	return nil
}

// number returns the value of a property that is a number, or 0 if there is none.
func number(title, name string) float64 {
	values := property(title, name)
	if len(values) == 0 {
		return 0
	}
	n, _ := strconv.ParseFloat(values[0], 64)
	return n
}

// boxOnPage returns the box of an element on the page. In the title it is left, top,
// right and bottom within the picture.
func (f frame) boxOnPage(title string) image.Rectangle {
	values := property(title, "bbox")
	if len(values) != 4 {
		return image.Rectangle{}
	}
	var n [4]int
	for i, value := range values {
		n[i], _ = strconv.Atoi(value)
	}
	return image.Rect(n[0], n[1], n[2], n[3]).Add(f.origin).Intersect(f.within)
}
