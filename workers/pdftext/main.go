// Command pdftext is a worker: it reads the text of a PDF, page by page, and what
// the document says about itself, with poppler. See docs/workers-pdftext.md.
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
)

// input is what the client sends, valid by processtype.yaml. Its numbers are
// integers, but 1.0 and 1e2 are as well.
type input struct {
	Source struct {
		Data string `json:"data"`
	} `json:"source"`
	Pages  pageRange `json:"pages"`
	Layout layout    `json:"layout"`
}

// pageRange is from where to where to read; from the first page, or to the last
// one, where it does not say.
type pageRange struct {
	First *float64 `json:"first"`
	Last  *float64 `json:"last"`
}

// page is an element of the output's pages.
type page struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// chunk is how many pages are read between two reports of progress.
const chunk = 16

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

// work turns the input file into the output file. The error is a *refusal, or what
// another attempt may change.
func work(ctx context.Context) error {
	in, err := readInput(os.Getenv("PROCESS_INPUT_FILE"))
	if err != nil {
		return err
	}
	pdf, err := in.document()
	if err != nil {
		return err
	}
	path, err := temporary(pdf)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(path) }() // the container's /tmp ends with it
	doc, err := open(ctx, path)
	if err != nil {
		return err
	}
	first, last, err := in.Pages.within(doc.info.PageCount)
	if err != nil {
		return err
	}
	out, err := os.Create(os.Getenv("PROCESS_OUTPUT_FILE"))
	if err != nil {
		return err
	}
	return errors.Join(extract(ctx, doc, in.Layout, first, last, out), out.Close())
}

// extract writes the output while the pages are read: so nothing grows that the
// agent does not see.
func extract(ctx context.Context, doc *document, how layout, first, last int, out io.Writer) error {
	info, err := json.Marshal(doc.info)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, `{"info":%s,"pages":[`, info); err != nil {
		return err
	}
	separator := ""
	for from := first; from <= last; from += chunk {
		to := min(from+chunk-1, last)
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
	if err := json.Unmarshal(text, &in); err != nil {
		return input{}, fmt.Errorf("read the input: %w", err)
	}
	return in, nil
}

// document is the PDF's bytes.
func (in input) document() ([]byte, error) {
	pdf, err := base64.StdEncoding.DecodeString(in.Source.Data)
	if err != nil {
		return nil, invalid(data, map[string]any{"contentEncoding": "base64"}, "the data is not base64")
	}
	// Readers take a header within the first 1024 bytes (ISO 32000-1, annex H.3).
	if !bytes.Contains(pdf[:min(len(pdf), 1024)], []byte("%PDF-")) {
		return nil, invalid(data, map[string]any{"contentMediaType": "application/pdf"}, "the data is no PDF")
	}
	return pdf, nil
}

// within are the first and the last page to read of a document of so many.
func (r pageRange) within(pages int) (first, last int, err error) {
	first, last = 1, pages
	for _, end := range []struct {
		at    string
		asked *float64
		page  *int
	}{{"input.pages.first", r.First, &first}, {"input.pages.last", r.Last, &last}} {
		if end.asked == nil {
			continue
		}
		if *end.asked < float64(first) || *end.asked > float64(pages) {
			expected := map[string]any{"type": "integer", "minimum": first, "maximum": pages}
			return 0, 0, invalid(end.at, expected, fmt.Sprintf("the document has %d pages", pages))
		}
		*end.page = int(*end.asked)
	}
	return first, last, nil
}

// temporary writes the document where it may be written, and returns its path.
func temporary(pdf []byte) (string, error) {
	f, err := os.CreateTemp("", "*.pdf")
	if err != nil {
		return "", err
	}
	_, err = f.Write(pdf)
	return f.Name(), errors.Join(err, f.Close())
}

// report says how far the work is. What goes wrong here does not matter to the work.
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
