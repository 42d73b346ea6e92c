// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"maps"
	"regexp"
	"strings"
)

// anyLines is the line of a page that matches any number of lines.
const anyLines = "..."

var (
	// names matches names that differ between runs: ids of processes and requests,
	// ETags and ids of events, and continue tokens of lists.
	names = regexp.MustCompile(`\b(?:[0-9a-v]{40}|[a-z2-7]{26}|[0-9a-f]{16}|AAAAA[-\w]{40,})\b`)
	// moments matches times (RFC 3339 and HTTP) and the ages in kubectl's columns. Two
	// moments of the same form are equal.
	moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z` +
		`|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT` +
		`|  \d+(?:s|m(?:\d+s)?|h(?:\d+m)?|d(?:\d+h)?)\b`)
	digit  = regexp.MustCompile(`\d`)
	column = regexp.MustCompile(`(\S) {2,}`)
)

// plain returns lines with placeholders for everything that differs between runs,
// except names.
func plain(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		line = column.ReplaceAllString(line, "$1  ") // columns are as wide as their content
		out[i] = moments.ReplaceAllStringFunc(line, func(moment string) string {
			switch {
			case strings.HasPrefix(moment, " "):
				return "  <age>"
			case strings.HasSuffix(moment, "GMT"):
				return "<date>"
			default:
				return "<" + digit.ReplaceAllString(moment, "0") + ">"
			}
		})
	}
	return out
}

// pairs maps the names on a page to the names in a run, one to one.
type pairs struct {
	toReal, toPage map[string]string
}

func newPairs() *pairs { return &pairs{toReal: map[string]string{}, toPage: map[string]string{}} }

// real returns a text of the page with the names of the run.
func (p *pairs) real(text string) string { return translate(text, p.toReal) }

// page returns lines of the run with the names of the page.
func (p *pairs) page(lines []string) []string {
	return strings.Split(translate(strings.Join(lines, "\n"), p.toPage), "\n")
}

func translate(text string, to map[string]string) string {
	return names.ReplaceAllStringFunc(text, func(name string) string {
		if other, ok := to[name]; ok {
			return other
		}
		return name
	})
}

// pair records that two names belong together. It returns false if one of them already
// belongs to another.
func (p *pairs) pair(page, real string) bool {
	toReal, pageKnown := p.toReal[page]
	toPage, realKnown := p.toPage[real]
	if pageKnown || realKnown {
		return toReal == real && toPage == page
	}
	p.toReal[page], p.toPage[real] = real, page
	return true
}

// match reports whether the lines of a page match those of a run, and records which
// names belong together. It returns the lines of the run, with anyLines where the page
// has it.
func (p *pairs) match(page, real []string) ([]string, bool) {
	if len(page) == 0 {
		return nil, len(real) == 0
	}
	if page[0] == anyLines {
		for i := 0; i <= len(real); i++ {
			if rest, ok := p.match(page[1:], real[i:]); ok {
				return append([]string{anyLines}, rest...), true
			}
		}
		return nil, false
	}
	if len(real) == 0 {
		return nil, false
	}
	before := pairs{toReal: maps.Clone(p.toReal), toPage: maps.Clone(p.toPage)}
	if p.matchLine(plain(page[:1])[0], plain(real[:1])[0]) {
		if rest, ok := p.match(page[1:], real[1:]); ok {
			return append([]string{real[0]}, rest...), true
		}
	}
	*p = before
	return nil, false
}

// matchLine reports whether two lines match, except for names that can be paired.
func (p *pairs) matchLine(page, real string) bool {
	inPage, inReal := names.FindAllString(page, -1), names.FindAllString(real, -1)
	if len(inPage) != len(inReal) || names.ReplaceAllString(page, "\x00") != names.ReplaceAllString(real, "\x00") {
		return false
	}
	for i := range inPage {
		if len(inPage[i]) != len(inReal[i]) || !p.pair(inPage[i], inReal[i]) {
			return false
		}
	}
	return true
}

// guess pairs the names of lines that do not match, in their order. Otherwise one wrong
// output would also make all later ones wrong.
func (p *pairs) guess(page, real []string) {
	inPage := names.FindAllString(strings.Join(page, "\n"), -1)
	inReal := names.FindAllString(strings.Join(real, "\n"), -1)
	for i := range min(len(inPage), len(inReal)) {
		p.pair(inPage[i], inReal[i])
	}
}
