// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Command generate writes the test documents to the current directory:
//
//	go run ./generate
//
// It writes the PDF objects itself, so that each document contains only what its test
// needs. It encrypts documents with qpdf; the encrypted files differ each time.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"unicode/utf16"
)

// document describes a PDF.
type document struct {
	info  map[string]string // texts of its information dictionary
	dates map[string]string // dates of its information dictionary, in PDF's format
	pages []string          // the lines of each page
	means map[rune]string   // the text that a character is mapped to; itself by default
	named bool              // whether the text has a named encoding, not one of the document
}

var documents = map[string]document{
	"report.pdf": {
		info: map[string]string{
			"Title": "Quarterly report", "Author": "Ada Lovelace", "Subject": "Engines", "Keywords": "analytical, difference",
			"Creator": "generate", "Producer": "by hand",
		},
		dates: map[string]string{"CreationDate": "D:20240229133700+02'00'", "ModDate": "D:20240301"},
		pages: []string{"First page", "", "Third page\nwith two lines"},
	},
	"bare.pdf":     {pages: []string{"No information"}},
	"scripts.pdf":  {info: map[string]string{"Title": "Ελληνικά 漢字"}, pages: []string{"Καλημέρα κόσμε\nПривет мир\n你好世界"}},
	"japanese.pdf": {pages: []string{"日本語の文書"}, named: true},
	"columns.pdf":  {pages: []string{"left               right"}},
	"controls.pdf": {info: map[string]string{"Title": "A\nPages: 7\nAuthor: B"}, pages: []string{"one ¶", "two"}, means: map[rune]string{'¶': "form\ffeed\x00"}},
	"lost.pdf":     {pages: []string{"one", lost, "three"}},
}

// lost is a page that is in the page tree, but does not exist.
const lost = "lost"

func main() {
	for name, d := range documents {
		if err := os.WriteFile(name, d.pdf(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"--encrypt", "user", "owner", "256", "--", "report.pdf", "password.pdf"},
		{"--encrypt", "", "owner", "256", "--extract=n", "--", "report.pdf", "nocopy.pdf"},
	} {
		if out, err := exec.Command("qpdf", append([]string{"--static-id", "--static-aes-iv"}, args...)...).CombinedOutput(); err != nil {
			log.Fatalf("qpdf: %v: %s", err, out)
		}
	}
}

// pdf returns the file. Its objects are: 1 the catalog, 2 the page tree, 3 the
// information, 4 the font, 5 the character map of the font, and then two for each page,
// the page and its content.
func (d document) pdf() []byte {
	codes := d.codes()
	objects := []string{
		"<</Type /Catalog /Pages 2 0 R>>",
		d.tree(),
		"<<" + d.information() + ">>",
		d.font(),
		stream(d.cmap(codes)),
	}
	for i, text := range d.pages {
		page := fmt.Sprintf("<</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources <</Font <</F 4 0 R>>>> /Contents %d 0 R>>", 7+2*i)
		if text == lost {
			page = "null"
		}
		objects = append(objects, page, stream(d.content(text, codes)))
	}
	return file(objects)
}

func (d document) tree() string {
	var kids strings.Builder
	for i := range d.pages {
		fmt.Fprintf(&kids, "%d 0 R ", 6+2*i)
	}
	return fmt.Sprintf("<</Type /Pages /Count %d /Kids [%s]>>", len(d.pages), kids.String())
}

func (d document) information() string {
	var info strings.Builder
	for _, key := range []string{"Title", "Author", "Subject", "Keywords", "Creator", "Producer"} {
		if value, ok := d.info[key]; ok {
			fmt.Fprintf(&info, "/%s <FEFF%s> ", key, hex(value))
		}
	}
	for _, key := range []string{"CreationDate", "ModDate"} {
		if value, ok := d.dates[key]; ok {
			fmt.Fprintf(&info, "/%s (%s) ", key, value)
		}
	}
	return info.String()
}

func (d document) font() string {
	if d.named {
		return "<</Type /Font /Subtype /Type0 /BaseFont /Mincho /Encoding /UniJIS-UTF16-H /DescendantFonts [<</Type /Font " +
			"/Subtype /CIDFontType0 /BaseFont /Mincho /CIDSystemInfo <</Registry (Adobe) /Ordering (Japan1) /Supplement 6>> " +
			"/FontDescriptor <</Type /FontDescriptor /FontName /Mincho /Flags 4>>>>]>>"
	}
	return "<</Type /Font /Subtype /Type1 /BaseFont /Courier /FirstChar 0 /LastChar 255 /Widths [" +
		strings.Repeat("600 ", 256) + "] /ToUnicode 5 0 R>>"
}

// codes assigns a code of one byte to each character of the document.
func (d document) codes() map[rune]byte {
	codes := map[rune]byte{}
	for _, r := range strings.Join(d.pages, "") {
		if _, ok := codes[r]; !ok && r != '\n' {
			codes[r] = byte(len(codes) + 1)
		}
	}
	return codes
}

// cmap returns the map from codes to characters.
func (d document) cmap(codes map[rune]byte) string {
	mapping := make([]string, len(codes))
	for r, code := range codes {
		meaning, ok := d.means[r]
		if !ok {
			meaning = string(r)
		}
		mapping[code-1] = fmt.Sprintf("<%02X> <%s>\n", code, hex(meaning))
	}
	return fmt.Sprintf("/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"+
		"1 begincodespacerange <00> <FF> endcodespacerange\n%d beginbfchar\n%sendbfchar\nendcmap end end\n",
		len(mapping), strings.Join(mapping, ""))
}

// content returns the operators that draw the lines of a page.
func (d document) content(text string, codes map[rune]byte) string {
	draw := "BT /F 12 Tf 14 TL 72 700 Td\n"
	for line := range strings.SplitSeq(text, "\n") {
		draw += "<"
		for _, r := range line {
			if d.named {
				draw += hex(string(r))
			} else {
				draw += fmt.Sprintf("%02X", codes[r])
			}
		}
		draw += "> Tj T*\n"
	}
	return draw + "ET\n"
}

func stream(text string) string {
	return fmt.Sprintf("<</Length %d>>\nstream\n%sendstream", len(text), text)
}

// hex returns a text in UTF-16, in hexadecimal digits.
func hex(text string) string {
	var digits string
	for _, unit := range utf16.Encode([]rune(text)) {
		digits += fmt.Sprintf("%04X", unit)
	}
	return digits
}

// file returns a PDF file with these objects, numbered from 1.
func file(objects []string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.6\n")
	xref := fmt.Sprintf("xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for i, object := range objects {
		xref += fmt.Sprintf("%010d 00000 n \n", b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	fmt.Fprintf(&b, "%strailer\n<</Size %d /Root 1 0 R /Info 3 0 R>>\nstartxref\n%d\n%%%%EOF\n", xref, len(objects)+1, b.Len())
	return b.Bytes()
}
