// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ocrSample returns a file of the ocr worker's test data, in base64.
func ocrSample(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "workers", "ocr", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(content)
}

// words returns a text with single spaces between its words.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// ocrOutput is what the ocr worker returns.
type ocrOutput struct {
	Text   string
	Fields []struct{ Text string }
	Pages  []struct {
		Width, Height int
		Lines         []struct {
			Text       string
			Confidence float64
			Words      []struct {
				Text string
				Area struct{ X, Y, Width, Height int }
			}
		}
	}
}

func TestOCRReadsPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text  string
		pages int
	}{
		"page.png": {"Harbour Lights Trading Co. 14 Quayside Lane, Port Wexley Invoice 2026-0417 Date: 12 March 2026 Customer: Meadow & Finch Ltd " +
			"Thank you for your order. Please find below the goods that left our warehouse on Tuesday, with the amounts due. Description " +
			"Brass ship lantern, large Cotton rope, 25 metres Oak tide clock Total Payment is due within thirty days. Questions are welcome " +
			"at any time; our office answers on weekdays. Amount 184.50 37.20 92.00 313.70", 1},
		"letter.jpg":    {"Dear Members, The annual meeting takes place on Friday evening in the old town hall. With kind regards, the committee", 1},
		"two-pages.tif": {"First page of two Second page, the last", 2},
		"receipt.bmp":   {"Receipt 5508", 1},
		"note.webp":     {"Meet me at noon", 1},
		"empty.png":     {"", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The alias that clients of the original API use.
			a := awaitComplete(t, "ocrReaders", post(t, "ocrReaders", `{"source":{"data":"`+ocrSample(t, name)+`"}}`))
			var read ocrOutput
			if err := json.Unmarshal(a.Output, &read); err != nil {
				t.Fatal(err)
			}
			if got := words(read.Text); got != test.text {
				t.Errorf("the text is\n%s\nwant\n%s", got, test.text)
			}
			if len(read.Pages) != test.pages {
				t.Errorf("there are %d pages, want %d", len(read.Pages), test.pages)
			}
			for _, page := range read.Pages {
				for _, line := range page.Lines {
					for _, word := range line.Words {
						if a := word.Area; a.X < 0 || a.Y < 0 || a.Width < 1 || a.Height < 1 || a.X+a.Width > page.Width || a.Y+a.Height > page.Height {
							t.Errorf("the word %q is at %+v, outside its page", word.Text, word.Area)
						}
					}
				}
			}
		})
	}
}

func TestOCRReadsFields(t *testing.T) {
	t.Parallel()
	input := fmt.Sprintf(`{"source":{"data":%q},"minimumCharacterConfidence":30,"language":"eng","fields":[
		{"area":{"x":90,"y":270,"width":500,"height":60}},
		{"area":{"x":740,"y":640,"width":200,"height":40}}]}`, ocrSample(t, "page.png"))
	a := awaitComplete(t, "ocr", post(t, "ocr", input))
	var read ocrOutput
	if err := json.Unmarshal(a.Output, &read); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, field := range read.Fields {
		texts = append(texts, field.Text)
	}
	if got := strings.Join(texts, "|"); got != "Invoice 2026-0417|184.50" {
		t.Errorf("the fields are %s", got)
	}
}

func TestOCRRefuses(t *testing.T) {
	t.Parallel()
	page := ocrSample(t, "receipt.bmp")
	for name, test := range map[string]struct{ input, at string }{
		"data that is not an image": {`{"source":{"data":"aGVsbG8="}}`, "input.source.data"},
		"data that is not base64":   {`{"source":{"data":"%%%"}}`, "input.source.data"},
		"a truncated image":         {`{"source":{"data":"` + page[:400] + `"}}`, "input.source.data"},
		"an area outside its page":  {`{"source":{"data":"` + page + `"},"fields":[{"area":{"x":0,"y":0,"width":10,"height":10}},{"area":{"x":400,"y":0,"width":100,"height":10}}]}`, "input.fields[1].area"},
		"a missing page":            {`{"source":{"data":"` + page + `"},"fields":[{"page":2,"area":{"x":0,"y":0,"width":10,"height":10}}]}`, "input.fields[0].page"},
		"an unknown language":       {`{"source":{"data":"` + page + `"},"language":"eng+tlh"}`, "input.language"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := awaitError(t, "ocr", post(t, "ocr", test.input), "InvalidInput")
			var details struct {
				In, At, Message string
				Expected        any
			}
			if err := json.Unmarshal(a.ErrorDetails, &details); err != nil {
				t.Fatal(err)
			}
			if details.In != "body" || details.At != test.at || details.Expected == nil || details.Message == "" {
				t.Errorf("errorDetails are %s, want at %s", a.ErrorDetails, test.at)
			}
		})
	}
}
