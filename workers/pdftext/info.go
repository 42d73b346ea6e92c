package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// info is what a document says about itself, and what it is. Of a string that it
// does not have, nothing is said.
type info struct {
	Title      string   `json:"title,omitempty"`
	Author     string   `json:"author,omitempty"`
	Subject    string   `json:"subject,omitempty"`
	Keywords   string   `json:"keywords,omitempty"`
	Creator    string   `json:"creator,omitempty"`
	Producer   string   `json:"producer,omitempty"`
	Created    string   `json:"created,omitempty"`  // RFC 3339
	Modified   string   `json:"modified,omitempty"` // likewise
	PageCount  int      `json:"pageCount"`
	PDFVersion string   `json:"pdfVersion"`
	PageSize   pageSize `json:"pageSize"`
	Encrypted  bool     `json:"encrypted"`
}

// pageSize is that of the first page, in points, before it is rotated.
type pageSize struct {
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// said are the keys whose values are texts of the document, in the order in which
// pdfinfo prints them. A text can have lines of its own.
var said = []string{"Title", "Subject", "Keywords", "Author", "Creator", "Producer", "CreationDate", "ModDate"}

// parseInfo reads what pdfinfo prints; ok is false when that is not a document with
// pages.
func parseInfo(text string) (about info, ok bool) {
	// What the document says comes before what pdfinfo finds: only behind the last
	// line of this name are no texts of the document.
	const found = "Custom Metadata:"
	split := strings.LastIndex("\n"+text, "\n"+found)
	if split < 0 {
		return info{}, false
	}
	facts := map[string]string{}
	for line := range strings.Lines(text[split:]) {
		key, value, _ := strings.Cut(line, ":")
		facts[key] = strings.TrimSpace(value)
	}
	texts := parseSaid(text[:split])
	about = info{
		Title: texts["Title"], Author: texts["Author"], Subject: texts["Subject"], Keywords: texts["Keywords"],
		Creator: texts["Creator"], Producer: texts["Producer"],
		Created: timestamp(texts["CreationDate"]), Modified: timestamp(texts["ModDate"]),
		PDFVersion: facts["PDF version"],
		Encrypted:  strings.HasPrefix(facts["Encrypted"], "yes"),
	}
	size := &about.PageSize
	if _, err := fmt.Sscanf(facts["Page size"], "%f x %f pts", &size.Width, &size.Height); err != nil || math.IsInf(size.Width+size.Height, 0) {
		return info{}, false
	}
	about.PageCount, _ = strconv.Atoi(facts["Pages"]) // 0 when it is no number
	return about, about.PageCount > 0
}

// parseSaid reads the texts of the document. A line that begins with none of the
// keys which may still come goes on with the text before it.
func parseSaid(text string) map[string]string {
	texts := map[string]string{}
	key, rest := "", said
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

// timestamp is a date of pdfinfo's in RFC 3339; "" when it is none, as dates in
// documents can be.
func timestamp(date string) string {
	for _, form := range []string{"2006-01-02T15:04:05Z07", "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(form, date); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return ""
}
