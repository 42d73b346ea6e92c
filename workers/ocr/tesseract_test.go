// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// needTesseract fails the test if tesseract is not installed.
func needTesseract(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("tesseract"); err != nil {
		t.Fatal("tesseract is not installed; make unit installs it, or: apt-get install tesseract-ocr")
	}
}

// readFile runs tesseract on a file of testdata. fields is the input's fields as JSON.
func readFile(t *testing.T, ctx context.Context, name, fields string) (texts []string, progress []int, err error) {
	t.Helper()
	input := `{"source":{"data":"` + base64.StdEncoding.EncodeToString(testdata(t, name)) + `"},"fields":` + fields + `}`
	if !json.Valid([]byte(input)) {
		t.Fatalf("the input is not JSON: %s", fields)
	}
	r, err := parseRequest([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := findPages(r.file)
	if err != nil {
		t.Fatal(err)
	}
	areas, err := r.areas(pages)
	if err != nil {
		t.Fatal(err)
	}
	readings, err := recognize(ctx, r, pages, areas, func(done int) { progress = append(progress, done) })
	for _, read := range readings {
		texts = append(texts, textOf(read.lines))
	}
	return texts, progress, err
}

func TestRecognize(t *testing.T) {
	needTesseract(t)
	for name, test := range map[string]struct {
		file, fields string
		want         []string
	}{
		"a page":   {"page.png", "null", []string{strings.TrimSpace(string(testdata(t, "page.txt")))}},
		"no text":  {"empty.png", "null", []string{""}},
		"two":      {"two-pages.tif", "null", []string{"First page of two", "Second page, the last"}},
		"in order": {"two-pages.tif", `[{"page":2,"area":{"x":60,"y":100,"width":500,"height":80}},{"area":{"x":60,"y":100,"width":500,"height":80}}]`, []string{"Second page, the last", "First page of two"}},
		"a dot":    {"page.png", `[{"area":{"x":0,"y":0,"width":1,"height":1}}]`, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			texts, progress, err := readFile(t, t.Context(), test.file, test.fields)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, texts); diff != "" {
				t.Error(diff)
			}
			if last := progress[len(progress)-1]; last != len(test.want) {
				t.Errorf("progress ends at %d of %d", last, len(test.want))
			}
		})
	}
}

func TestRecognizeEndsWithItsContext(t *testing.T) {
	needTesseract(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := readFile(t, ctx, "page.png", "null"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
