// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
)

// reading is the text that was read in an area.
type reading struct {
	area
	lines []line
	// rotation is by how many degrees the page was rotated clockwise to be upright: 0, 90,
	// 180 or 270. The area and the lines are those of the rotated page.
	rotation int
}

// confident removes the characters whose confidence, 0 to 100, is below minimum. Then it
// removes words without characters and lines without words. It also removes words that
// consist of blanks: this is how tesseract reports a spot, for example.
func confident(lines []line, minimum float64) []line {
	var kept []line
	for _, l := range lines {
		var words []word
		for _, w := range l.words {
			var characters []character
			for _, c := range w.characters {
				if c.confidence >= minimum {
					characters = append(characters, c)
				}
			}
			w.characters = characters
			if strings.TrimSpace(w.text()) != "" {
				words = append(words, w)
			}
		}
		if len(words) > 0 {
			l.words = words
			kept = append(kept, l)
		}
	}
	return kept
}

func (w word) text() string {
	var text strings.Builder
	for _, c := range w.characters {
		text.WriteString(c.text)
	}
	return text.String()
}

func (l line) text() string {
	words := make([]string, len(l.words))
	for i, w := range l.words {
		words[i] = w.text()
	}
	return strings.Join(words, " ")
}

// textOf joins lines with line breaks, and paragraphs with a blank line.
func textOf(lines []line) string {
	var text strings.Builder
	for i, l := range lines {
		if i > 0 {
			text.WriteString("\n")
			if l.paragraph != lines[i-1].paragraph {
				text.WriteString("\n")
			}
		}
		text.WriteString(l.text())
	}
	return text.String()
}

// The output as JSON, as described in docs/workers-ocr.md.
type (
	output struct {
		Text   string        `json:"text"`
		Fields []outputField `json:"fields,omitempty"`
		Pages  []outputPage  `json:"pages"`
	}
	outputPage struct {
		Width                int          `json:"width"`
		Height               int          `json:"height"`
		HorizontalResolution int          `json:"horizontalResolution,omitempty"`
		Rotation             int          `json:"rotation,omitempty"`
		Text                 *string      `json:"text,omitempty"`
		Lines                []outputLine `json:"lines,omitzero"`
	}
	outputField struct {
		Page       int          `json:"page"`
		Area       box          `json:"area"`
		Text       string       `json:"text"`
		Confidence float64      `json:"confidence"`
		Lines      []outputLine `json:"lines"`
	}
	outputLine struct {
		Text       string       `json:"text"`
		Confidence float64      `json:"confidence"`
		Area       box          `json:"area"`
		Words      []outputWord `json:"words"`
	}
	outputWord struct {
		Text       string  `json:"text"`
		Confidence float64 `json:"confidence"`
		Area       box     `json:"area"`
	}
)

// newOutput builds the output from the readings. If the request has fields, pages have
// no text of their own, only their size.
func newOutput(pages []page, readings []reading, fields bool) output {
	out := output{}
	for _, p := range pages {
		if p.missing == nil {
			out.Pages = append(out.Pages, outputPage{Width: p.size.X, Height: p.size.Y, HorizontalResolution: p.resolution})
		}
	}
	var texts []string
	for _, r := range readings {
		text := textOf(r.lines)
		if fields {
			out.Fields = append(out.Fields, outputField{
				Page: r.page, Area: r.box, Text: text, Confidence: confidence(r.lines), Lines: outputLines(r.lines),
			})
		} else {
			p := &out.Pages[r.page-1]
			p.Text, p.Lines = &text, outputLines(r.lines)
			p.Width, p.Height, p.Rotation = r.Width, r.Height, r.rotation
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	separator := "\n\n"
	if fields {
		separator = "\n"
	}
	out.Text = strings.Join(texts, separator)
	return out
}

func outputLines(lines []line) []outputLine {
	out := make([]outputLine, len(lines))
	for i, l := range lines {
		words := make([]outputWord, len(l.words))
		for j, w := range l.words {
			words[j] = outputWord{Text: w.text(), Confidence: tenths(w.confidence), Area: boxOf(w.area)}
		}
		out[i] = outputLine{Text: l.text(), Confidence: confidence(lines[i : i+1]), Area: boxOf(l.area), Words: words}
	}
	return out
}

// confidence returns the mean confidence of all words, 0 to 100, or 0 if there are
// none.
func confidence(lines []line) float64 {
	sum, n := 0.0, 0
	for _, l := range lines {
		for _, w := range l.words {
			sum += w.confidence
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return tenths(sum / float64(n))
}

func tenths(x float64) float64 { return math.Round(10*x) / 10 }
