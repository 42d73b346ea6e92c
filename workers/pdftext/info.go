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

// info is the metadata of a document. Strings that the document does not have are
// left out.
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

// parseInfo parses the output of pdfinfo. It returns false if that does not describe
// a document with pages.
func parseInfo(text string) (metadata info, ok bool) {
	// pdfinfo prints the texts of the document first. A text can contain lines that
	// look like facts. Only what follows the last line with this key is safe.
	const firstFact = "Custom Metadata:"
	split := strings.LastIndex("\n"+text, "\n"+firstFact)
	if split < 0 {
		return info{}, false
	}
	facts := map[string]string{}
	for line := range strings.Lines(text[split:]) {
		key, value, _ := strings.Cut(line, ":")
		facts[key] = strings.TrimSpace(value)
	}
	texts := parseTexts(text[:split])
	metadata = info{
		Title: texts["Title"], Author: texts["Author"], Subject: texts["Subject"], Keywords: texts["Keywords"],
		Creator: texts["Creator"], Producer: texts["Producer"],
		Created: timestamp(texts["CreationDate"]), Modified: timestamp(texts["ModDate"]),
		PDFVersion: facts["PDF version"],
		Encrypted:  strings.HasPrefix(facts["Encrypted"], "yes"),
	}
	if form := facts["Form"]; form != "none" {
		metadata.Form = form
	}
	size := &metadata.PageSize
	if _, err := fmt.Sscanf(facts["Page size"], "%f x %f pts", &size.Width, &size.Height); err != nil || math.IsInf(size.Width+size.Height, 0) {
		return info{}, false
	}
	metadata.PageCount, _ = strconv.Atoi(facts["Pages"]) // 0 if it is not a number
	return metadata, metadata.PageCount > 0
}

// parseTexts parses the texts of the document. A line that does not begin with one of
// the keys that can still follow belongs to the text before it.
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

// timestamp converts a date of pdfinfo to RFC 3339. It returns "" for text that is not
// a date, which documents can contain.
func timestamp(date string) string {
	for _, form := range []string{"2006-01-02T15:04:05Z07", "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(form, date); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return ""
}
