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

// line, word and character are what tesseract read, in reading order.
type line struct {
	area  image.Rectangle
	words []word
	// paragraph tells which lines belong together: it is the same for those.
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

// lineClasses are hOCR's names for what is a line of text.
var lineClasses = []string{"ocr_line", "ocr_header", "ocr_caption", "ocr_textfloat"}

// frame is where a picture that tesseract was given comes from.
type frame struct {
	// origin is where the picture's upper left corner is on its page.
	origin image.Point
	// within is the area that was asked for. Places are cut to it, since a
	// letter's box may reach into the margin.
	within image.Rectangle
}

// parseHOCR reads tesseract's hOCR with character boxes: the lines of each
// picture, in the order of the frames.
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
		return nil, fmt.Errorf("read hOCR: it tells of %d pictures, not %d", len(p.pictures), len(frames))
	}
	return p.pictures, nil
}

// hocrParser is what has been read and where the reading is.
type hocrParser struct {
	frames    []frame
	pictures  [][]line
	paragraph int
	character *character // the one whose text comes next
}

// open begins an element. One without what has to be around it, which tesseract
// does not write, is passed over.
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
		*lines = append(*lines, line{area: f.place(title), paragraph: p.paragraph})
	case class == "ocrx_word" && len(*lines) > 0:
		last := &(*lines)[len(*lines)-1]
		last.words = append(last.words, word{area: f.place(title), confidence: number(title, "x_wconf")})
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

// property finds "name value value" among a title's properties, which are
// separated by semicolons.
func property(title, name string) []string {
	for part := range strings.SplitSeq(title, ";") {
		if fields := strings.Fields(part); len(fields) > 1 && fields[0] == name {
			return fields[1:]
		}
	}
	return nil
}

// number is a property of one number; 0 when it is not there.
func number(title, name string) float64 {
	values := property(title, name)
	if len(values) == 0 {
		return 0
	}
	n, _ := strconv.ParseFloat(values[0], 64)
	return n
}

// place is an element's box on the page: left, top, right, bottom.
func (f frame) place(title string) image.Rectangle {
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
