// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
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
}

// maxText bounds, in bytes, what one run of poppler prints. It is the largest possible
// limits.outputBytes, so a longer text could not be returned anyway.
const maxText = 1 << 20

// open reads the metadata of a PDF. The error is a *refusal if the document is
// damaged or needs a password.
func open(ctx context.Context, path string) (*document, error) {
	text, err := poppler(ctx, "pdfinfo", "-isodates", "-enc", "UTF-8", path)
	if err != nil {
		return nil, err
	}
	metadata, ok := parseInfo(text)
	if !ok {
		return nil, damaged("no page can be found in the document")
	}
	return &document{path: path, info: metadata}, nil
}

// texts returns the texts of the pages from first to last.
//
// pdftotext ends each page with a form feed. A form feed can also be part of a page's
// text, and a page that cannot be read has none. So if the number of form feeds is not
// the number of pages, the pages are split into two halves that are read separately.
func (d *document) texts(ctx context.Context, how layout, first, last int) ([]string, error) {
	args := []string{"-q", "-enc", "UTF-8", "-eol", "unix", "-f", strconv.Itoa(first), "-l", strconv.Itoa(last)}
	if how == physical {
		args = append(args, "-layout")
	}
	text, err := poppler(ctx, "pdftotext", append(args, d.path, "-")...)
	if err != nil {
		return nil, err
	}
	text, complete := strings.CutSuffix(text, "\f")
	texts := strings.Split(text, "\f")
	switch {
	case first == last && !complete:
		return nil, damaged(fmt.Sprintf("page %d cannot be read", first))
	case first == last:
		return []string{clean(text)}, nil
	case complete && len(texts) == last-first+1:
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

// poppler runs one of poppler's programs, without a shell, and returns what it prints.
// Of the input, only page numbers become arguments. The standard error may quote the
// document, so it is never part of an error text.
func poppler(ctx context.Context, program string, args ...string) (string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stdout, stderr := &bounded{onFull: stop}, &bounded{}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case stdout.full:
		return "", tooMuchText
	case err == nil:
		return stdout.text.String(), nil
	case !errors.As(err, &exit):
		return "", fmt.Errorf("run %s: %w", program, err)
	case killedBy(exit, syscall.SIGKILL), killedBy(exit, syscall.SIGTERM):
		return "", fmt.Errorf("run %s: %w", program, err) // out of memory or time, so another attempt may help
	case strings.Contains(stderr.text.String(), "Incorrect password"):
		return "", passwordRequired
	default:
		return "", damaged("the document cannot be read")
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

// clean returns a text without characters that JSON cannot contain, and without
// empty lines at its end.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	return strings.TrimRight(text, "\n")
}
