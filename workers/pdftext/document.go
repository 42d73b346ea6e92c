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
	// known contains the error lines that poppler prints for the document as a whole.
	// Poppler has repaired these errors.
	known map[string]bool
}

// maxText is the maximum size, in bytes, of what one run of poppler prints. It is the
// largest possible limits.outputBytes: a longer text could not be returned.
const maxText = 1 << 20

// open reads the metadata of a PDF. The error is a *refusal if the document is
// damaged or needs a password.
func open(ctx context.Context, path string) (*document, error) {
	text, errorLines, err := poppler(ctx, "pdfinfo", "-isodates", "-enc", "UTF-8", path)
	if err != nil {
		return nil, err
	}
	metadata, ok := parseInfo(text)
	if !ok {
		return nil, damaged("no page can be found in the document")
	}
	d := &document{path: path, info: metadata, known: map[string]bool{}}
	d.addKnown(errorLines)
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
	missing := sort.Search(claimed, func(i int) bool { // the number of pages that do not exist
		number := claimed - i
		text, errorLines, e := poppler(ctx, "pdfinfo", "-f", strconv.Itoa(number), "-l", strconv.Itoa(number), d.path)
		err = errors.Join(err, e)
		d.addKnown(errorLines)
		_, size, ok := strings.Cut(text, fmt.Sprintf(" %d size:", number))
		return ok && !strings.HasPrefix(strings.TrimSpace(size), "0 x 0 pts")
	})
	return claimed - missing, err
}

func (d *document) addKnown(errorLines []string) {
	for _, line := range errorLines {
		d.known[line] = true
	}
}

// texts returns the texts of the pages from first to last.
//
// pdftotext ends each page with a form feed. A form feed can also be part of a page's
// text, and a page that cannot be read has none. An error line does not show which page
// it is about. Therefore, if the number of form feeds is not the number of pages, or if
// there are error lines, the two halves of the pages are read separately.
func (d *document) texts(ctx context.Context, how layout, first, last int) ([]string, error) {
	args := []string{"-enc", "UTF-8", "-eol", "unix", "-f", strconv.Itoa(first), "-l", strconv.Itoa(last)}
	if how == physical {
		args = append(args, "-layout")
	}
	text, errorLines, err := poppler(ctx, "pdftotext", append(args, d.path, "-")...)
	if err != nil {
		return nil, err
	}
	errorLines = slices.DeleteFunc(errorLines, func(line string) bool { return d.known[line] })
	text, complete := strings.CutSuffix(text, "\f")
	texts := strings.Split(text, "\f")
	switch {
	case first == last && (!complete || textMissing(clean(text), errorLines)):
		return nil, damaged(fmt.Sprintf("page %d cannot be read", first))
	case first == last:
		return []string{clean(text)}, nil
	case complete && len(texts) == last-first+1 && len(errorLines) == 0:
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

// missingContent matches the error lines after which a part of a page is missing: a
// stream cannot be decoded, or a font or an object does not exist.
var missingContent = regexp.MustCompile(`flate stream|LZW stream|ASCIIHex stream|Unknown filter|Unknown compression|[xX][rR]ef|font tag|No font|Unterminated|page contents`)

// textMissing reports whether the text of a page, or a part of it, is missing. A page
// without text and without error lines is really empty.
func textMissing(text string, errorLines []string) bool {
	return len(errorLines) > 0 && text == "" || slices.ContainsFunc(errorLines, missingContent.MatchString)
}

// poppler runs one of poppler's programs, without a shell, and returns its standard output
// and the lines of its standard error that report errors. The only arguments from the
// input are page numbers. Error lines may quote the document, so they never become part
// of an error text.
func poppler(ctx context.Context, program string, args ...string) (text string, errorLines []string, err error) {
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
				errorLines = append(errorLines, line)
			}
		}
		return stdout.text.String(), errorLines, nil
	case !errors.As(err, &exit):
		return "", nil, fmt.Errorf("run %s: %w", program, err)
	case killedBy(exit, syscall.SIGKILL), killedBy(exit, syscall.SIGTERM):
		return "", nil, fmt.Errorf("run %s: %w", program, err) // the memory or the time ran out: another attempt may succeed
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
	free := maxText - b.text.Len()
	b.text.Write(p[:min(len(p), free)])
	if len(p) > free && !b.full {
		b.full = true
		if b.onFull != nil {
			b.onFull()
		}
	}
	return len(p), nil
}

// replacer replaces U+0000, which payloads must not contain, and removes the direction
// marks that pdftotext adds to lines with right-to-left text. The letters are in logical
// order.
var replacer = strings.NewReplacer("\x00", "\uFFFD", "\u202A", "", "\u202B", "", "\u202C", "")

// clean returns a text as valid UTF-8, after replacer, and without empty lines at its end.
func clean(text string) string {
	return strings.TrimRight(replacer.Replace(strings.ToValidUTF8(text, "\uFFFD")), "\n")
}
