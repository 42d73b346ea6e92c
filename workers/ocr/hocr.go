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

// parseHOCR reads tesseract's hOCR with character boxes. origin is where its
// upper left corner is on the page; places are cut to within, since a letter's
// box may reach into the margin.
func parseHOCR(text []byte, origin image.Point, within image.Rectangle) ([]line, error) {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	decoder.Strict = false
	decoder.Entity = xml.HTMLEntity
	var lines []line
	paragraph, inCharacter := 0, false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read hOCR: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			class, title := attribute(token, "class"), attribute(token, "title")
			switch {
			case class == "ocr_par":
				paragraph++
			case slices.Contains(lineClasses, class):
				lines = append(lines, line{area: place(title, "bbox", origin, within), paragraph: paragraph})
			case class == "ocrx_word" && len(lines) > 0:
				last := &lines[len(lines)-1]
				last.words = append(last.words, word{
					area: place(title, "bbox", origin, within), confidence: number(title, "x_wconf"),
				})
			case class == "ocrx_cinfo" && len(lines) > 0 && len(lines[len(lines)-1].words) > 0:
				words := lines[len(lines)-1].words
				last := &words[len(words)-1]
				last.characters = append(last.characters, character{confidence: number(title, "x_conf")})
				inCharacter = true
			}
		case xml.CharData:
			if inCharacter {
				words := lines[len(lines)-1].words
				characters := words[len(words)-1].characters
				characters[len(characters)-1].text += string(token)
			}
		case xml.EndElement:
			inCharacter = false
		}
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

// place is a property of four numbers: left, top, right, bottom.
func place(title, name string, origin image.Point, within image.Rectangle) image.Rectangle {
	values := property(title, name)
	if len(values) != 4 {
		return image.Rectangle{}
	}
	var n [4]int
	for i, value := range values {
		n[i], _ = strconv.Atoi(value)
	}
	return image.Rect(n[0], n[1], n[2], n[3]).Add(origin).Intersect(within)
}
