// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// work returns the output for a file, with more members of the input, such as
// `"language":"eng"`.
func work(t *testing.T, file []byte, more string) (output, error) {
	t.Helper()
	if more != "" {
		more = "," + more
	}
	return read(t.Context(), []byte(`{"source":{"data":"`+base64.StdEncoding.EncodeToString(file)+`"}`+more+`}`))
}

// The files show one line of text, in a page of 240 by 56 pixels. Each of them is of a
// kind that scanners, phones, fax servers and converters write, and that at least one
// common decoder reads wrongly or not at all.
func TestKindsOfFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/kinds/*")
	if err != nil || len(files) < 50 {
		t.Fatalf("there are %d files, %v", len(files), err)
	}
	const line = "Total 417.50"
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, more := []outputPage{{Width: 240, Height: 56}}, ""
			switch filepath.Base(name) {
			case "two-pages.tif":
				want = append(want, want[0])
			case "second-directory-lost.tif": // read as far as there is a field
				more = `"fields":[{"page":1,"area":{"x":0,"y":0,"width":240,"height":56}}]`
			case "reduced-image-alone.tif":
				want[0] = outputPage{Width: 120, Height: 28}
			}
			out, err := work(t, file, more)
			if err != nil {
				t.Fatal(err)
			}
			var got []outputPage
			for _, p := range out.Pages {
				got = append(got, outputPage{Width: p.Width, Height: p.Height, Rotation: p.Rotation})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if want := strings.Repeat("\n\n"+line, len(want))[2:]; out.Text != want {
				t.Errorf("the text is %q, want %q", out.Text, want)
			}
		})
	}
}

// Without fields, a page that is not there is an error, and not a page less.
func TestLostPageIsAnError(t *testing.T) {
	for name, more := range map[string]string{
		"all pages":      "",
		"a field on it":  `"fields":[{"page":2,"area":{"x":0,"y":0,"width":9,"height":9}}]`,
		"a field beyond": `"fields":[{"page":3,"area":{"x":0,"y":0,"width":9,"height":9}}]`,
	} {
		_, err := work(t, testdata(t, "kinds/second-directory-lost.tif"), more)
		if r, ok := errors.AsType[*refusal](err); !ok || !strings.Contains(r.message, "page 2: the image cannot be decoded") {
			t.Errorf("%s: got %v, want a refusal that names page 2", name, err)
		}
	}
}

// turn returns a file of the page, turned by ImageMagick.
func turn(t *testing.T, name, degrees string) []byte {
	t.Helper()
	turned, err := exec.CommandContext(t.Context(), "convert-im6.q16", filepath.Join("testdata", name), "-rotate", degrees, "png:-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return turned
}

func TestTurnedPages(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"letter.jpg": "Dear Members,", "note.webp": "Meet me at noon"} { // note.webp has too few characters to detect
		upright, err := work(t, testdata(t, name), "")
		if err != nil || upright.Pages[0].Rotation != 0 {
			t.Fatalf("%s: turned by %d, %v", name, upright.Pages[0].Rotation, err)
		}
		for degrees, back := range map[string]int{"90": 270, "180": 180, "270": 90} {
			out, err := work(t, turn(t, name, degrees), "")
			if err != nil {
				t.Fatal(err)
			}
			p := out.Pages[0]
			if !strings.HasPrefix(out.Text, text) || p.Rotation != back || p.Width != upright.Pages[0].Width || p.Height != upright.Pages[0].Height {
				t.Errorf("%s, turned by %s: turned back by %d, %d by %d pixels: %q", name, degrees, p.Rotation, p.Width, p.Height, out.Text)
			}
		}
	}
	lying := turn(t, "letter.jpg", "180")
	for name, more := range map[string]string{
		"not asked for": `"detectOrientation":false`,
		// Places are those of the page as it was sent.
		"a field": `"fields":[{"area":{"x":0,"y":0,"width":900,"height":420}}]`,
	} {
		if out, err := work(t, lying, more); err != nil || out.Pages[0].Rotation != 0 || strings.Contains(out.Text, "Members") {
			t.Errorf("%s: %q, turned by %d, %v", name, out.Text, out.Pages[0].Rotation, err)
		}
	}
}

// Integers can be written as 1.0 and 1e2.
func TestWholeNumbers(t *testing.T) {
	out, err := work(t, testdata(t, "kinds/plain.png"), `"fields":[{"page":1.0,"area":{"x":0.0,"y":0e0,"width":2.4e2,"height":56.00}}],"defaultHorizontalResolution":300.0`)
	if err != nil || out.Text != "Total 417.50" || out.Fields[0].Area != (box{0, 0, 240, 56}) {
		t.Errorf("got %+v, %v", out, err)
	}
}

// A small file can describe a large page. Nothing of it is decoded.
func TestHostileFiles(t *testing.T) {
	large := func(name string, at int, order binary.ByteOrder, size int) []byte {
		file := bytes.Clone(testdata(t, name))
		for _, offset := range []int{at, at + size} {
			if size == 4 {
				order.PutUint32(file[offset:], 30_000)
			} else {
				order.PutUint16(file[offset:], 30_000)
			}
		}
		return file
	}
	inPNG := large("kinds/plain.png", 16, binary.BigEndian, 4)
	binary.BigEndian.PutUint32(inPNG[29:], crc32.ChecksumIEEE(inPNG[12:29]))
	sof := bytes.Index(testdata(t, "letter.jpg"), []byte("\xff\xc0"))
	for name, file := range map[string][]byte{
		"PNG":  inPNG,
		"JPEG": large("letter.jpg", sof+5, binary.BigEndian, 2),
		"BMP":  large("receipt.bmp", 18, binary.LittleEndian, 4),
	} {
		_, err := work(t, file, "")
		if r, ok := errors.AsType[*refusal](err); !ok || !strings.Contains(r.message, "30000 pixels wide and 30000 high") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	// 10,000 directories share one page.
	if _, err := work(t, tiffOfPages(10_000), ""); err == nil || !strings.Contains(err.Error(), "more than 100 pages") {
		t.Errorf("10,000 pages: got %v, want a refusal", err)
	}
	// A header that does not agree with the data.
	if _, err := png.DecodeConfig(bytes.NewReader(inPNG)); err != nil {
		t.Errorf("the PNG is not what it should be: %v", err)
	}
}
