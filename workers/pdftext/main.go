// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pdftext is a worker that reads the text and the metadata of a PDF, page by
// page, with poppler. See docs/workers-pdftext.md.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"procman.dev/procman/workers/internal/jsoninput"
)

// input is the worker's input. It is valid according to the inputSchema in
// processtype.yaml.
type input struct {
	Source struct {
		Data string `json:"data"`
	} `json:"source"`
	Pages  pageRange `json:"pages"`
	Layout layout    `json:"layout"`
}

// pageRange selects the pages to read. Nil means the first or the last page of the
// document.
type pageRange struct {
	First *int `json:"first"`
	Last  *int `json:"last"`
}

// page is one of the pages in the output.
type page struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// pagesPerRun is how many pages one run of poppler reads. The progress is reported
// after each run.
const pagesPerRun = 16

func main() {
	err := work(context.Background())
	if refused, ok := errors.AsType[*refusal](err); ok {
		err = writeJSON(cmp.Or(os.Getenv("PROCESS_ERROR_FILE"), "/dev/stderr"), refused)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pdftext:", err)
		os.Exit(1)
	}
}

// work reads the input file and writes the output file. After an error that is not a
// *refusal, another attempt may succeed.
func work(ctx context.Context) error {
	in, err := readInput(os.Getenv("PROCESS_INPUT_FILE"))
	if err != nil {
		return err
	}
	pdf, err := in.document()
	if err != nil {
		return err
	}
	path, err := writeTemporary(withoutNullPages(pdf))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(path) }() // after an error, it is removed with the container
	doc, err := open(ctx, path)
	if err != nil {
		return err
	}
	doc.info.Portfolio = isPortfolio(pdf)
	first, last, err := in.Pages.resolve(doc.info.PageCount)
	if err != nil {
		return err
	}
	out, err := os.Create(os.Getenv("PROCESS_OUTPUT_FILE"))
	if err != nil {
		return err
	}
	return errors.Join(extract(ctx, doc, in.Layout, first, last, out), out.Close())
}

// extract writes the output while it reads the pages. The output is therefore not in
// memory, and the agent can kill the worker as soon as the output is too large.
func extract(ctx context.Context, doc *document, how layout, first, last int, out io.Writer) error {
	info, err := json.Marshal(doc.info)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, `{"info":%s,"pages":[`, info); err != nil {
		return err
	}
	separator := ""
	for from := first; from <= last; from += pagesPerRun {
		to := min(from+pagesPerRun-1, last)
		texts, err := doc.texts(ctx, how, from, to)
		if err != nil {
			return err
		}
		for i, text := range texts {
			p, err := json.Marshal(page{Number: from + i, Text: text})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(out, "%s%s", separator, p); err != nil {
				return err
			}
			separator = ","
		}
		report(100 * (to - first + 1) / (last - first + 1))
	}
	_, err = io.WriteString(out, "]}")
	return err
}

func readInput(path string) (input, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return input{}, err
	}
	var in input
	if err := jsoninput.Unmarshal(text, &in); err != nil {
		return input{}, fmt.Errorf("read the input: %w", err)
	}
	return in, nil
}

// document decodes the PDF file. The error is a *refusal.
func (in input) document() ([]byte, error) {
	pdf, err := base64.StdEncoding.DecodeString(strings.TrimSpace(in.Source.Data)) // it ignores line breaks
	if err != nil {
		return nil, invalid(dataPath, map[string]any{"contentEncoding": "base64"}, "the data is not base64")
	}
	// Readers accept a header within the first 1024 bytes (ISO 32000-1, annex H.3).
	if !bytes.Contains(pdf[:min(len(pdf), 1024)], []byte("%PDF-")) {
		return nil, invalid(dataPath, map[string]any{"contentMediaType": "application/pdf"}, "the data is not a PDF file")
	}
	return pdf, nil
}

// resolve returns the first and the last page to read. pages is the number of pages of
// the document. The error is a *refusal.
func (r pageRange) resolve(pages int) (first, last int, err error) {
	first, last = 1, pages
	for _, end := range []struct {
		at        string
		requested *int
		page      *int
	}{{"input.pages.first", r.First, &first}, {"input.pages.last", r.Last, &last}} {
		if end.requested == nil {
			continue
		}
		if *end.requested < first || *end.requested > pages {
			expected := map[string]any{"type": "integer", "minimum": first, "maximum": pages}
			return 0, 0, invalid(end.at, expected, fmt.Sprintf("the document has %d pages", pages))
		}
		*end.page = *end.requested
	}
	return first, last, nil
}

// writeTemporary writes the document to a temporary file and returns its path.
func writeTemporary(pdf []byte) (string, error) {
	f, err := os.CreateTemp("", "*.pdf")
	if err != nil {
		return "", err
	}
	_, err = f.Write(pdf)
	return f.Name(), errors.Join(err, f.Close())
}

// report reports the progress. Errors are ignored: they do not affect the work.
func report(percent int) {
	if path := os.Getenv("PROCESS_PROGRESS_FILE"); path != "" {
		_ = os.WriteFile(path, []byte(strconv.Itoa(percent)), 0o644)
	}
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
