// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// step is a file to write or a command to run.
type step struct {
	line int    // its line in the page, from 1
	file string // the name of the file; "" for a command
	text string // the content of the file, or the command
	// printed is the output of the command: the lines [from, to) of the page, from 0.
	printed  []string
	from, to int
}

var (
	fence   = regexp.MustCompile("^(```+)(.*)$")
	comment = regexp.MustCompile(`^<!-- file: (\S+) -->$`)
	// here matches the start of a here-document, but not a here-string.
	here = regexp.MustCompile(`(?:^|[^<])<<-?\s*['"]?(\w+)['"]?`)
)

// parse returns the steps of a page. An error begins with a line number.
func parse(lines []string) ([]step, error) {
	var steps []step
	file, fileLine := "", 0
	for i := 0; i < len(lines); i++ {
		if name := comment.FindStringSubmatch(lines[i]); name != nil {
			if !filepath.IsLocal(name[1]) {
				return nil, fmt.Errorf("%d: file %s is not below the directory of the page", i+1, name[1])
			}
			file, fileLine = name[1], i+1
			continue
		}
		opening := fence.FindStringSubmatch(lines[i])
		if opening == nil {
			if file != "" && lines[i] != "" {
				return nil, fmt.Errorf("%d: no block follows with the content of file %s", fileLine, file)
			}
			continue
		}
		start := i + 1
		for i = start; i < len(lines) && lines[i] != opening[1]; i++ {
		}
		if i == len(lines) {
			return nil, fmt.Errorf("%d: the block has no end", start)
		}
		switch {
		case file != "":
			steps = append(steps, step{line: start, file: file, text: strings.Join(lines[start:i], "\n") + "\n"})
			file = ""
		case strings.TrimSpace(opening[2]) == "console":
			commands, err := parseConsole(lines[:i], start)
			if err != nil {
				return nil, err
			}
			steps = append(steps, commands...)
		}
	}
	return steps, nil
}

// parseConsole returns the commands of a block. It is lines from start (counted from 0)
// to the end.
func parseConsole(lines []string, start int) ([]step, error) {
	var steps []step
	for i := start; i < len(lines); {
		first, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			return nil, fmt.Errorf("%d: output without a command before it", i+1)
		}
		s := step{line: i + 1, text: first}
		for i++; strings.HasSuffix(s.text, `\`) && i < len(lines); i++ {
			s.text += "\n" + lines[i]
		}
		if ends := here.FindStringSubmatch(s.text); ends != nil {
			for ended := false; !ended; i++ {
				if i == len(lines) {
					return nil, fmt.Errorf("%d: the here-document has no end %s", s.line, ends[1])
				}
				s.text += "\n" + lines[i]
				ended = strings.TrimLeft(lines[i], "\t") == ends[1]
			}
		}
		s.from = i
		for i < len(lines) && !strings.HasPrefix(lines[i], "$ ") {
			i++
		}
		s.printed = trimmed(lines[s.from:i])
		s.to = s.from + len(s.printed)
		steps = append(steps, s)
	}
	return steps, nil
}
