// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// info is the metadata of a document. Texts that the document does not have are omitted.
type info struct {
	Title      string   `json:"title,omitempty"`
	Author     string   `json:"author,omitempty"`
	Subject    string   `json:"subject,omitempty"`
	Keywords   string   `json:"keywords,omitempty"`
	Creator    string   `json:"creator,omitempty"`
	Producer   string   `json:"producer,omitempty"`
	Created    string   `json:"created,omitempty"`  // RFC 3339
	Modified   string   `json:"modified,omitempty"` // RFC 3339
	PageCount  int      `json:"pageCount"`
	PDFVersion string   `json:"pdfVersion"`
	PageSize   pageSize `json:"pageSize"`
	Encrypted  bool     `json:"encrypted"`
	Form       string   `json:"form,omitempty"` // AcroForm or XFA
	Portfolio  bool     `json:"portfolio,omitzero"`
}

// pageSize is the size of the first page in points, before rotation.
type pageSize struct {
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// textKeys are the keys whose values are texts of the document, in the order in which
// pdfinfo prints them. A text can have several lines.
var textKeys = []string{"Title", "Subject", "Keywords", "Author", "Creator", "Producer", "CreationDate", "ModDate"}

// parseInfo parses the output of pdfinfo. ok is false if the output does not describe a
// document with pages.
func parseInfo(text string) (metadata info, ok bool) {
	// pdfinfo prints the texts of the document first, then its properties. A text can
	// contain lines that look like properties. Only the lines after the last one with this
	// key are certainly properties.
	const firstProperty = "Custom Metadata:"
	split := strings.LastIndex("\n"+text, "\n"+firstProperty)
	if split < 0 {
		return info{}, false
	}
	properties := map[string]string{}
	for line := range strings.Lines(text[split:]) {
		key, value, _ := strings.Cut(line, ":")
		properties[key] = strings.TrimSpace(value)
	}
	texts := parseTexts(text[:split])
	metadata = info{
		Title: texts["Title"], Author: texts["Author"], Subject: texts["Subject"], Keywords: texts["Keywords"],
		Creator: texts["Creator"], Producer: texts["Producer"],
		Created: timestamp(texts["CreationDate"]), Modified: timestamp(texts["ModDate"]),
		PDFVersion: properties["PDF version"],
		Encrypted:  strings.HasPrefix(properties["Encrypted"], "yes"),
	}
	if form := properties["Form"]; form != "none" {
		metadata.Form = form
	}
	size := &metadata.PageSize
	if _, err := fmt.Sscanf(properties["Page size"], "%f x %f pts", &size.Width, &size.Height); err != nil || math.IsInf(size.Width+size.Height, 0) {
		return info{}, false
	}
	metadata.PageCount, _ = strconv.Atoi(properties["Pages"]) // 0 if it is not a number
	return metadata, metadata.PageCount > 0
}

// parseTexts parses the texts of the document. The keys are in the order of textKeys. A
// line that does not begin with one of the remaining keys continues the text before it.
func parseTexts(text string) map[string]string {
	texts := map[string]string{}
	key, rest := "", textKeys
	for line := range strings.Lines(text) {
		for i, k := range rest {
			if value, ok := strings.CutPrefix(line, k+":"); ok {
				key, rest, line = k, rest[i+1:], strings.TrimLeft(value, " ")
				break
			}
		}
		texts[key] += line
	}
	for key, value := range texts {
		texts[key] = strings.TrimSpace(clean(value))
	}
	return texts
}

// timestamp converts a date of pdfinfo to RFC 3339. It returns "" for a text that is not
// a date: documents can contain any text.
func timestamp(date string) string {
	for _, form := range []string{"2006-01-02T15:04:05Z07", "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(form, date); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return ""
}
