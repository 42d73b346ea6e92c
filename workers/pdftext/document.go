// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// layout is the order of the text on a page.
type layout string

const (
	reading  layout = "reading"  // one column after the other, as a person reads
	physical layout = "physical" // line by line, with columns side by side
)

// document is a PDF that poppler can open.
type document struct {
	path string
	info info
	// known has the complaints of poppler about the document as a whole. It repaired
	// what they are about.
	known map[string]bool
}

// maxText bounds, in bytes, what one run of poppler prints. It is the largest possible
// limits.outputBytes, so a longer text could not be returned anyway.
const maxText = 1 << 20

// open reads the metadata of a PDF. The error is a *refusal if the document is
// damaged or needs a password.
func open(ctx context.Context, path string) (*document, error) {
	text, complaints, err := poppler(ctx, "pdfinfo", "-isodates", "-enc", "UTF-8", path)
	if err != nil {
		return nil, err
	}
	metadata, ok := parseInfo(text)
	if !ok {
		return nil, damaged("no page can be found in the document")
	}
	d := &document{path: path, info: metadata, known: map[string]bool{}}
	d.know(complaints)
	if d.info.PageCount, err = d.lastPage(ctx); err != nil {
		return nil, err
	}
	if d.info.PageCount == 0 {
		return nil, damaged("no page can be found in the document")
	}
	return d, nil
}

// lastPage returns the number of the last page. A document can claim to have more pages
// than there are; pdfinfo prints a size of 0 for those.
func (d *document) lastPage(ctx context.Context) (int, error) {
	claimed := d.info.PageCount
	var err error
	n := sort.Search(claimed, func(i int) bool { // the number of pages that do not exist
		number := claimed - i
		text, complaints, e := poppler(ctx, "pdfinfo", "-f", strconv.Itoa(number), "-l", strconv.Itoa(number), d.path)
		err = errors.Join(err, e)
		d.know(complaints)
		_, size, ok := strings.Cut(text, fmt.Sprintf(" %d size:", number))
		return ok && !strings.HasPrefix(strings.TrimSpace(size), "0 x 0 pts")
	})
	return claimed - n, err
}

func (d *document) know(complaints []string) {
	for _, c := range complaints {
		d.known[c] = true
	}
}

// texts returns the texts of the pages from first to last.
//
// pdftotext ends each page with a form feed. A form feed can also be part of a page's
// text, and a page that cannot be read has none. Of which page poppler complains is not
// known either. So if the number of form feeds is not the number of pages, or poppler
// complains, the pages are split into two halves that are read separately.
func (d *document) texts(ctx context.Context, how layout, first, last int) ([]string, error) {
	args := []string{"-enc", "UTF-8", "-eol", "unix", "-f", strconv.Itoa(first), "-l", strconv.Itoa(last)}
	if how == physical {
		args = append(args, "-layout")
	}
	text, complaints, err := poppler(ctx, "pdftotext", append(args, d.path, "-")...)
	if err != nil {
		return nil, err
	}
	complaints = slices.DeleteFunc(complaints, func(c string) bool { return d.known[c] })
	text, complete := strings.CutSuffix(text, "\f")
	texts := strings.Split(text, "\f")
	switch {
	case first == last && (!complete || isLost(clean(text), complaints)):
		return nil, damaged(fmt.Sprintf("page %d cannot be read", first))
	case first == last:
		return []string{clean(text)}, nil
	case complete && len(texts) == last-first+1 && len(complaints) == 0:
		for i := range texts {
			texts[i] = clean(texts[i])
		}
		return texts, nil
	}
	middle := (first + last) / 2
	before, err := d.texts(ctx, how, first, middle)
	if err != nil {
		return nil, err
	}
	after, err := d.texts(ctx, how, middle+1, last)
	if err != nil {
		return nil, err
	}
	return append(before, after...), nil
}

// lostContent matches the complaints after which a part of a page is missing: about a
// stream that cannot be decoded, or a font or an object that does not exist.
var lostContent = regexp.MustCompile(`flate stream|LZW stream|ASCIIHex stream|Unknown filter|Unknown compression|[xX][rR]ef|font tag|No font|Unterminated|page contents`)

// isLost reports whether text, or a part of it, is missing on a page. An empty page about
// which poppler does not complain is really empty.
func isLost(text string, complaints []string) bool {
	return len(complaints) > 0 && text == "" || slices.ContainsFunc(complaints, lostContent.MatchString)
}

// poppler runs one of poppler's programs, without a shell, and returns what it prints, and
// the lines in which it complains of errors. Of the input, only page numbers become
// arguments. The complaints may quote the document, so they are never part of an error text.
func poppler(ctx context.Context, program string, args ...string) (text string, complaints []string, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stdout, stderr := &bounded{onFull: stop}, &bounded{}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case stdout.full:
		return "", nil, tooMuchText
	case err == nil:
		for line := range strings.Lines(stderr.text.String()) {
			if strings.HasPrefix(line, "Syntax Error") || strings.HasPrefix(line, "Internal Error") {
				complaints = append(complaints, line)
			}
		}
		return stdout.text.String(), complaints, nil
	case !errors.As(err, &exit):
		return "", nil, fmt.Errorf("run %s: %w", program, err)
	case killedBy(exit, syscall.SIGKILL), killedBy(exit, syscall.SIGTERM):
		return "", nil, fmt.Errorf("run %s: %w", program, err) // out of memory or time, so another attempt may help
	case strings.Contains(stderr.text.String(), "Incorrect password"):
		return "", nil, passwordRequired
	default:
		return "", nil, damaged("the document cannot be read")
	}
}

func killedBy(exit *exec.ExitError, by syscall.Signal) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == by
}

// bounded keeps the first maxText bytes that are written to it and drops the rest.
type bounded struct {
	text   bytes.Buffer
	full   bool   // whether bytes were dropped
	onFull func() // called when the first byte is dropped; can be nil
}

func (b *bounded) Write(p []byte) (int, error) {
	room := maxText - b.text.Len()
	b.text.Write(p[:min(len(p), room)])
	if len(p) > room && !b.full {
		b.full = true
		if b.onFull != nil {
			b.onFull()
		}
	}
	return len(p), nil
}

// replacer replaces U+0000, which JSON cannot contain, and removes the marks of direction
// that pdftotext adds to lines with letters that are written from right to left. The
// letters are in logical order.
var replacer = strings.NewReplacer("\x00", "\uFFFD", "\u202A", "", "\u202B", "", "\u202C", "")

// clean returns a text without what replacer removes, and without empty lines at its end.
func clean(text string) string {
	return strings.TrimRight(replacer.Replace(strings.ToValidUTF8(text, "\uFFFD")), "\n")
}
