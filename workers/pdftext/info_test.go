// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// facts is what pdfinfo prints about a document without texts.
const facts = "Custom Metadata: no\nPages:           2\nEncrypted:       no\nPage size:       595 x 842 pts (A4)\nPDF version:     1.7\n"

func TestParseInfo(t *testing.T) {
	plain := info{PageCount: 2, PDFVersion: "1.7", PageSize: pageSize{595, 842}}
	with := func(change func(*info)) info {
		changed := plain
		change(&changed)
		return changed
	}
	for name, test := range map[string]struct {
		text string
		want info
	}{
		"facts":          {facts, plain},
		"lines":          {"Title:           A\n  B\nAuthor: C\n" + facts, with(func(i *info) { i.Title, i.Author = "A\n  B", "C" })},
		"forged facts":   {"Title:           A\n" + strings.ReplaceAll(facts, "2", "7") + "\nB\n" + facts, with(func(i *info) { i.Title = "A\n" + strings.ReplaceAll(facts, "2", "7") + "\nB" })},
		"a key too late": {"Author: A\nTitle: B\n" + facts, with(func(i *info) { i.Author = "A\nTitle: B" })},
		"empty":          {"Title:           \nAuthor:          \n" + facts, plain},
		"half an hour":   {"CreationDate: 2024-02-29T13:37:00-03:30\n" + facts, with(func(i *info) { i.Created = "2024-02-29T13:37:00-03:30" })},
		"not a date":     {"CreationDate: yesterday\nModDate: 2024-02-29T13:37:00Z\n" + facts, with(func(i *info) { i.Modified = "2024-02-29T13:37:00Z" })},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseInfo(test.text)
			if diff := cmp.Diff(test.want, got); !ok || diff != "" {
				t.Errorf("ok %t, -want +got\n%s", ok, diff)
			}
		})
	}
}

func TestParseInfoOfOtherText(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":       "",
		"no facts":      "Title: A\n",
		"no pages":      strings.Replace(facts, "2\n", "0\n", 1),
		"no size":       strings.Replace(facts, "Page size", "Page form", 1),
		"endless pages": strings.Replace(facts, "595", "inf", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := parseInfo(text); ok {
				t.Errorf("got %+v, want that it is rejected", got)
			}
		})
	}
}
