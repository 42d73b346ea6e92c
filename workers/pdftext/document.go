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

// layout is the order in which a page's text is read.
type layout string

const (
	reading  layout = "reading"  // column after column, as a person reads
	physical layout = "physical" // line by line, the columns side by side
)

// document is a PDF that poppler can open.
type document struct {
	path string
	info info
}

// maxText is how many bytes one run of poppler may print: as many as
// limits.outputBytes can be at most, so that more would reach nobody.
const maxText = 1 << 20

// open reads what a PDF says about itself. The error is a *refusal when the
// document is damaged or needs a password.
func open(ctx context.Context, path string) (*document, error) {
	text, err := poppler(ctx, "pdfinfo", "-isodates", "-enc", "UTF-8", path)
	if err != nil {
		return nil, err
	}
	about, ok := parseInfo(text)
	if !ok {
		return nil, damaged("the document has no pages that can be found")
	}
	return &document{path: path, info: about}, nil
}

// texts are the texts of the pages from first to last.
//
// pdftotext ends each page with a form feed. A page's text can hold one itself, as
// a part of what a font says that its glyphs mean, and a page that is lost has
// none: where there are not as many as pages, each half is read by itself.
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

// poppler runs one of poppler's programs and returns what it prints, without a
// shell and with arguments that are all ours. What it says on standard error may
// quote the document, so it stays here.
func poppler(ctx context.Context, program string, args ...string) (string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out, complaints := &bounded{full: stop}, &bounded{}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = out, complaints
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case out.over:
		return "", tooMuchText
	case err == nil:
		return out.text.String(), nil
	case !errors.As(err, &exit):
		return "", fmt.Errorf("run %s: %w", program, err)
	case ended(exit, syscall.SIGKILL), ended(exit, syscall.SIGTERM):
		return "", fmt.Errorf("run %s: %w", program, err) // for want of memory or time: not the document's fault
	case strings.Contains(complaints.text.String(), "Incorrect password"):
		return "", passwordRequired
	default:
		return "", damaged("the document cannot be read")
	}
}

func ended(exit *exec.ExitError, by syscall.Signal) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == by
}

// bounded keeps the first maxText bytes that are written to it.
type bounded struct {
	text bytes.Buffer
	over bool
	full func() // called when there are more; more are dropped when nil
}

func (b *bounded) Write(p []byte) (int, error) {
	room := maxText - b.text.Len()
	b.text.Write(p[:min(len(p), room)])
	if len(p) > room && !b.over {
		b.over = true
		if b.full != nil {
			b.full()
		}
	}
	return len(p), nil
}

// clean is a text as JSON can say it, without the empty lines at its end.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	return strings.TrimRight(text, "\n")
}
