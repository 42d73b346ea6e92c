// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A page whose content is lost is not an empty page.
func TestLostPages(t *testing.T) {
	files, err := filepath.Glob("testdata/kinds/page-2-*")
	if err != nil || len(files) < 9 {
		t.Fatalf("there are %d files, %v", len(files), err)
	}
	for _, name := range files {
		name := strings.TrimPrefix(name, "testdata/")
		t.Run(filepath.Base(name), func(t *testing.T) {
			pdf := testdata(t, name)
			if strings.Contains(name, "empty") || strings.Contains(name, "without-contents") {
				got := read(t, inputOf(pdf)).Pages
				if diff := cmp.Diff([]page{{1, "page one"}, {2, ""}, {3, "page three"}}, got); diff != "" {
					t.Error(diff)
				}
				return
			}
			if e := run(t, inputOf(pdf)); e.refused == nil || e.refused.Code != "DocumentDamaged" || e.refused.Details.Message != "page 2 cannot be read" {
				t.Errorf("got %v, %v, want DocumentDamaged for page 2", e.refused, e.err)
			}
			if got := read(t, inputOf(pdf, `"pages":{"last":1.0}`)).Pages; len(got) != 1 || got[0].Text != "page one" {
				t.Errorf("the first page is %v", got)
			}
		})
	}
}

// A page that is listed, and does not exist, costs only that page.
func TestPagesThatDoNotExist(t *testing.T) {
	for name, want := range map[string][]page{
		"kinds/kids-with-null.pdf":           {{1, "page one"}, {2, "page three"}},
		"kinds/kids-with-missing-object.pdf": {{1, "page one"}, {2, "page three"}},
		"kinds/count-too-high.pdf":           {{1, "page one"}, {2, "page two"}},
		"lost.pdf":                           {{1, "one"}, {2, "three"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, inputOf(testdata(t, name)))
			if diff := cmp.Diff(want, got.Pages); diff != "" || got.Info.PageCount != len(want) {
				t.Errorf("of %d pages: %s", got.Info.PageCount, diff)
			}
			e := run(t, inputOf(testdata(t, name), `"pages":{"first":3}`))
			if e.refused == nil || e.refused.Code != "InvalidInput" || e.refused.Details.Message != "the document has 2 pages" {
				t.Errorf("page 3: got %v, %v", e.refused, e.err)
			}
		})
	}
}

// Letters are in logical order, without the marks that pdftotext adds.
func TestTextFromRightToLeft(t *testing.T) {
	for name, want := range map[string]string{
		"kinds/hebrew.pdf":             "הוזח אבגד\ntotal 17",
		"kinds/hebrew-with-number.pdf": "אבגד 17",
		"kinds/english.pdf":            "total 17",
	} {
		if got := read(t, inputOf(testdata(t, name))).Pages[0].Text; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestFormsAndPortfolios(t *testing.T) {
	plain := testdata(t, "kinds/english.pdf")
	with := func(entry string) []byte {
		return bytes.Replace(plain, []byte("/Catalog"), []byte("/Catalog "+entry), 1)
	}
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	_, _ = w.Write([]byte("7 0 <</Type/Catalog/Collection 9 0 R>>"))
	_ = w.Close()
	inStream := append(bytes.Clone(plain), fmt.Sprintf("\n99 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream\nendobj\n", packed.Len(), &packed)...)
	for name, test := range map[string]struct {
		pdf       []byte
		form      string
		portfolio bool
	}{
		"neither":                     {plain, "", false},
		"XFA":                         {with("/AcroForm<</Fields[]/XFA[(a)5 0 R]>>"), "XFA", false},
		"another form":                {with("/AcroForm<</Fields[]>>"), "AcroForm", false},
		"a portfolio":                 {with("/Collection<</Type/Collection/View/H>>"), "", true},
		"a portfolio, packed":         {inStream, "", true},
		"a text that names the entry": {append(bytes.Clone(plain), "%/Collection of shells"...), "", false},
	} {
		got := read(t, inputOf(test.pdf)).Info
		if got.Form != test.form || got.Portfolio != test.portfolio {
			t.Errorf("%s: got form %q, portfolio %t", name, got.Form, got.Portfolio)
		}
	}
}

func TestPortfolioSearchIsBounded(t *testing.T) {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	_, _ = w.Write(make([]byte, maxObjects+1))
	_, _ = w.Write([]byte("/Collection 9 0 R"))
	_ = w.Close()
	if isPortfolio([]byte("/ObjStm/Length 1>>\nstream\n" + packed.String())) {
		t.Error("more than the bound is searched")
	}
}

// Programs break lines of base64.
func TestBase64WithLineBreaks(t *testing.T) {
	text := base64.StdEncoding.EncodeToString(testdata(t, "kinds/english.pdf"))
	var lines []string
	for ; len(text) > 76; text = text[76:] {
		lines = append(lines, text[:76])
	}
	input := `{"source":{"data":"` + strings.Join(append(lines, text), `\r\n`) + `\n"}}`
	if err := typeRules(t).CheckInput([]byte(input)); err != nil {
		t.Error(err)
	}
	if got := read(t, input).Pages[0].Text; got != "total 17" {
		t.Errorf("got %q", got)
	}
}
