// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"os/exec"
	"slices"
	"strings"

	"procman.dev/procman/workers/internal/jsoninput"
)

// request is the decoded input. Values that depend on the image are not checked yet.
type request struct {
	file              []byte
	language          string
	fields            []field
	minimumConfidence float64
	// defaultResolution is in dots per inch. 0 means not given.
	defaultResolution int
	// detectOrientation means that pages on which little text can be read are rotated.
	detectOrientation bool
}

// field is an area to read.
type field struct {
	Area box `json:"area"`
	// Page is the number of the page, from 1. 0 means not given, which is page 1.
	Page int `json:"page"`
}

// box is a rectangle in pixels. X and Y are its distance from the upper left corner of
// the page.
type box struct {
	X      int `json:"x"`
	Y      int `json:"y"`
	Width  int `json:"width"`
	Height int `json:"height"`
}

func (b box) rectangle() image.Rectangle {
	return image.Rect(b.X, b.Y, b.X+b.Width, b.Y+b.Height)
}

func boxOf(r image.Rectangle) box { return box{r.Min.X, r.Min.Y, r.Dx(), r.Dy()} }

// area is a part of a page that tesseract reads as one picture.
type area struct {
	index int // position among all areas of the request, from 0
	page  int // from 1
	box
	whole bool // whether it is the whole page, not a field
}

// defaultLanguage is always installed, so checkLanguage does not check it.
const defaultLanguage = "eng"

const dataPath = "input.source.data"

// formats lists the supported file formats.
var formats = map[string]any{"formats": []string{"png", "jpeg", "tiff", "bmp", "webp"}}

// parseRequest decodes the input, which is valid according to the type's inputSchema.
func parseRequest(text []byte) (*request, error) {
	var in struct {
		Source struct {
			Data string `json:"data"`
		} `json:"source"`
		Language                    string  `json:"language"`
		Fields                      []field `json:"fields"`
		MinimumCharacterConfidence  float64 `json:"minimumCharacterConfidence"`
		DefaultHorizontalResolution int     `json:"defaultHorizontalResolution"`
		DetectOrientation           *bool   `json:"detectOrientation"`
	}
	if err := jsoninput.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("decode input: %w", err)
	}
	file, err := base64.StdEncoding.DecodeString(strings.TrimSpace(in.Source.Data))
	if err != nil {
		return nil, &refusal{at: dataPath, expected: formats, message: "the data is not base64: " + err.Error()}
	}
	if in.Language == "" {
		in.Language = defaultLanguage
	}
	return &request{
		file: file, language: in.Language, fields: in.Fields,
		minimumConfidence: in.MinimumCharacterConfidence, defaultResolution: in.DefaultHorizontalResolution,
		detectOrientation: in.DetectOrientation == nil || *in.DetectOrientation,
	}, nil
}

func (r *request) hasFields() bool { return len(r.fields) > 0 }

// checkLanguage returns a refusal if a language is not installed. Several languages
// are joined with "+", as in tesseract's own option.
func (r *request) checkLanguage(ctx context.Context) error {
	if r.language == defaultLanguage {
		return nil
	}
	output, err := exec.CommandContext(ctx, "tesseract", "--list-langs").Output()
	if err != nil {
		return fmt.Errorf("list languages: %w", err)
	}
	installed := installedLanguages(output)
	for name := range strings.SplitSeq(r.language, "+") {
		if !slices.Contains(installed, name) {
			return &refusal{
				at: "input.language", expected: map[string]any{"enum": installed},
				message: fmt.Sprintf("the language %q is not installed; join several languages with +", name),
			}
		}
	}
	return nil
}

// installedLanguages parses the output of tesseract --list-langs: a heading, then one
// name in each line. The name osd is a layout detector, not a language.
func installedLanguages(output []byte) []string {
	var names []string
	for line := range bytes.Lines(output) {
		name := strings.TrimSpace(string(line))
		if name != "" && name != "osd" && !strings.Contains(name, " ") {
			names = append(names, name)
		}
	}
	return names
}

// areas returns the areas to read: the fields of the request, or every page if it has
// no fields.
func (r *request) areas(pages []page) ([]area, error) {
	if !r.hasFields() {
		areas := make([]area, len(pages))
		for i, p := range pages {
			if p.missing != nil {
				return nil, p.missing
			}
			areas[i] = area{index: i, page: i + 1, box: boxOf(p.bounds()), whole: true}
		}
		return areas, nil
	}
	var areas []area
	for i, f := range r.fields {
		number := max(f.Page, 1)
		if last := pages[len(pages)-1]; last.missing != nil && number >= len(pages) {
			return nil, last.missing
		}
		if number > len(pages) {
			return nil, &refusal{
				at: fmt.Sprintf("input.fields[%d].page", i), expected: map[string]any{"type": "integer", "minimum": 1, "maximum": len(pages)},
				message: fmt.Sprintf("the last page of the file is %d", len(pages)),
			}
		}
		bounds := pages[number-1].bounds()
		if f.Area.Width < 1 || f.Area.Height < 1 || !f.Area.rectangle().In(bounds) {
			return nil, &refusal{
				at: fmt.Sprintf("input.fields[%d].area", i), expected: boxOf(bounds),
				message: "the area is not within its page",
			}
		}
		areas = append(areas, area{index: i, page: number, box: f.Area})
	}
	return areas, nil
}
