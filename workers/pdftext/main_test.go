// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ending is the result of one run of the worker.
type ending struct {
	output   []byte
	refused  *refusal
	err      error // any other error
	progress string
}

// run runs the worker on an input.
func run(t *testing.T, input string) ending {
	t.Helper()
	dir := t.TempDir()
	for name, file := range map[string]string{"PROCESS_INPUT_FILE": "in", "PROCESS_OUTPUT_FILE": "out", "PROCESS_PROGRESS_FILE": "progress", "TMPDIR": "tmp"} {
		t.Setenv(name, filepath.Join(dir, file))
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte(input), 0o644); err != nil {
		t.Fatal(err)
	}
	err := work(t.Context())
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("the temporary file %s is not removed", left[0].Name())
	}
	e := ending{}
	if !errors.As(err, &e.refused) {
		e.err = err
	}
	e.output, _ = os.ReadFile(filepath.Join(dir, "out"))
	progress, _ := os.ReadFile(filepath.Join(dir, "progress"))
	e.progress = string(progress)
	return e
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// inputOf returns the input for a document, with further members such as
// `"layout":"physical"`.
func inputOf(pdf []byte, more ...string) string {
	members := append([]string{`"source":{"data":"` + base64.StdEncoding.EncodeToString(pdf) + `"}`}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

// read runs the worker, which must complete, and returns its output, which must be
// valid by the type's outputSchema.
func read(t *testing.T, input string) (output struct {
	Info  info
	Pages []page
}) {
	t.Helper()
	e := run(t, input)
	if e.refused != nil || e.err != nil {
		t.Fatal(e.refused, e.err)
	}
	if err := typeRules(t).CheckOutput(e.output); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(e.output, &output); err != nil {
		t.Fatal(err)
	}
	if e.progress != "100" {
		t.Errorf("the last report of progress is %q", e.progress)
	}
	return output
}

func TestTexts(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		more []string
		want []page
	}{
		"all pages, one of them empty": {"report.pdf", nil, []page{{1, "First page"}, {2, ""}, {3, "Third page\nwith two lines"}}},
		"from a page":                  {"report.pdf", []string{`"pages":{"first":2}`}, []page{{2, ""}, {3, "Third page\nwith two lines"}}},
		"to a page":                    {"report.pdf", []string{`"pages":{"last":2}`}, []page{{1, "First page"}, {2, ""}}},
		"one page":                     {"report.pdf", []string{`"pages":{"first":3,"last":3}`}, []page{{3, "Third page\nwith two lines"}}},
		"integers with a point":        {"report.pdf", []string{`"pages":{"first":1.0,"last":1e0}`}, []page{{1, "First page"}}},
		"no page range":                {"report.pdf", []string{`"pages":{}`, `"layout":"reading"`}, []page{{1, "First page"}, {2, ""}, {3, "Third page\nwith two lines"}}},
		"other scripts":                {"scripts.pdf", nil, []page{{1, "Καλημέρα κόσμε\nПривет мир\n你好世界"}}},
		"a named encoding":             {"japanese.pdf", nil, []page{{1, "日本語の文書"}}},
		"reading layout":               {"columns.pdf", nil, []page{{1, "left\n\nright"}}},
		"physical layout":              {"columns.pdf", []string{`"layout":"physical"`}, []page{{1, "left   right"}}},
		"a form feed, and a U+0000":    {"controls.pdf", nil, []page{{1, "one form\ffeed\uFFFD"}, {2, "two"}}},
		"encrypted without a password": {"nocopy.pdf", []string{`"pages":{"last":1}`}, []page{{1, "First page"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, read(t, inputOf(testdata(t, test.file), test.more...)).Pages); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestInfo(t *testing.T) {
	a4 := pageSize{595, 842}
	report := info{
		Title: "Quarterly report", Author: "Ada Lovelace", Subject: "Engines", Keywords: "analytical, difference",
		Creator: "generate", Producer: "by hand", Created: "2024-02-29T13:37:00+02:00", Modified: "2024-03-01T00:00:00Z",
		PageCount: 3, PDFVersion: "1.6", PageSize: a4,
	}
	encrypted := report
	encrypted.PDFVersion, encrypted.Encrypted = "1.7", true
	for file, want := range map[string]info{
		"report.pdf":   report,
		"nocopy.pdf":   encrypted,
		"bare.pdf":     {PageCount: 1, PDFVersion: "1.6", PageSize: a4},
		"scripts.pdf":  {Title: "Ελληνικά 漢字", PageCount: 1, PDFVersion: "1.6", PageSize: a4},
		"controls.pdf": {Title: "A\nPages: 7", Author: "B", PageCount: 2, PDFVersion: "1.6", PageSize: a4},
	} {
		t.Run(file, func(t *testing.T) {
			if diff := cmp.Diff(want, read(t, inputOf(testdata(t, file))).Info); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	report := testdata(t, "report.pdf")
	for name, test := range map[string]struct {
		input string
		want  refusal
	}{
		"not base64": {`{"source":{"data":"%%%"}}`,
			refusal{"InvalidInput", details{"body", "input.source.data", map[string]any{"contentEncoding": "base64"}, "the data is not base64"}}},
		"not a PDF": {inputOf([]byte("hello")),
			refusal{"InvalidInput", details{"body", "input.source.data", map[string]any{"contentMediaType": "application/pdf"}, "the data is not a PDF file"}}},
		"a first page after the last": {inputOf(report, `"pages":{"first":4}`),
			refusal{"InvalidInput", details{"body", "input.pages.first", map[string]any{"type": "integer", "minimum": 1, "maximum": 3}, "the document has 3 pages"}}},
		"a last page after the last": {inputOf(report, `"pages":{"first":2,"last":4}`),
			refusal{"InvalidInput", details{"body", "input.pages.last", map[string]any{"type": "integer", "minimum": 2, "maximum": 3}, "the document has 3 pages"}}},
		"a password": {inputOf(testdata(t, "password.pdf")),
			refusal{"PasswordRequired", details{In: "body", At: "input.source.data", Message: "the document needs a password: send it without one"}}},
		"cut off": {inputOf(report[:1000]),
			refusal{"DocumentDamaged", details{In: "body", At: "input.source.data", Message: "the document cannot be read"}}},
	} {
		t.Run(name, func(t *testing.T) {
			e := run(t, test.input)
			if e.err != nil || e.refused == nil {
				t.Fatalf("got the output %s, error %v, want a refusal", e.output, e.err)
			}
			if diff := cmp.Diff(test.want, *e.refused); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// Failures that do not depend on the input are errors, so that the worker is started
// again.
func TestFailures(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if e := run(t, inputOf(testdata(t, "bare.pdf"))); e.err == nil || e.refused != nil || !strings.Contains(e.err.Error(), "pdfinfo") {
		t.Errorf("without poppler: got %v, %v, want an error that is not a refusal", e.err, e.refused)
	}
	killed := t.TempDir()
	if err := os.WriteFile(filepath.Join(killed, "pdfinfo"), []byte("#!/bin/sh\nkill -KILL $$\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", killed)
	if e := run(t, inputOf(testdata(t, "bare.pdf"))); e.err == nil || e.refused != nil || !strings.Contains(e.err.Error(), "killed") {
		t.Errorf("with poppler killed: got %v, %v, want an error that is not a refusal", e.err, e.refused)
	}
}

func TestEndlessText(t *testing.T) {
	endless := t.TempDir()
	for name, script := range map[string]string{
		"pdfinfo":   "#!/bin/sh\nprintf 'Custom Metadata: no\\nPages: 1\\nPage size: 1 x 1 pts\\nPage    1 size: 1 x 1 pts\\nPDF version: 1.6\\n'\n",
		"pdftotext": "#!/bin/sh\nexec /usr/bin/yes\n",
	} {
		if err := os.WriteFile(filepath.Join(endless, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", endless)
	if e := run(t, inputOf(testdata(t, "bare.pdf"))); e.refused != tooMuchText {
		t.Errorf("got %v, %v, want %v", e.refused, e.err, tooMuchText)
	}
}

// Documents with more pages than one run of poppler reads.
func TestManyPages(t *testing.T) {
	const pages = 2*pagesPerRun + 3
	got := read(t, inputOf(blank(pages))).Pages
	if len(got) != pages || got[pages-1] != (page{pages, ""}) {
		t.Errorf("there are %d pages, the last is %v", len(got), got[len(got)-1])
	}
}

// blank returns a document with empty pages. It has no cross-reference table: readers
// build one on their own.
func blank(pages int) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.6\n1 0 obj\n<</Type /Catalog /Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type /Pages /Kids [")
	b.WriteString(strings.Repeat("3 0 R ", pages))
	b.WriteString("] /Count ")
	_ = json.NewEncoder(&b).Encode(pages)
	b.WriteString(">>\nendobj\n3 0 obj\n<</Type /Page /Parent 2 0 R /MediaBox [0 0 9 9]>>\nendobj\ntrailer\n<</Root 1 0 R>>\n")
	return b.Bytes()
}
