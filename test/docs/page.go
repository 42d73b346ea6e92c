package docs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// step is a file of a page to write, or a command to run.
type step struct {
	line int    // where it is, from 1
	file string // the name of the file, "" for a command
	text string // the content of the file, or the command
	// printed is what the command prints: the lines [from, to) of the page, from 0.
	printed  []string
	from, to int
}

var (
	fence   = regexp.MustCompile("^(```+)(.*)$")
	comment = regexp.MustCompile(`^<!-- file: (\S+) -->$`)
	// here matches the start of a here-document, and not of a here-string.
	here = regexp.MustCompile(`(?:^|[^<])<<-?\s*['"]?(\w+)['"]?`)
)

// parse finds the steps of a page. The error begins with the number of a line.
func parse(lines []string) ([]step, error) {
	var steps []step
	file, fileLine := "", 0
	for i := 0; i < len(lines); i++ {
		if name := comment.FindStringSubmatch(lines[i]); name != nil {
			if !filepath.IsLocal(name[1]) {
				return nil, fmt.Errorf("%d: %s is not below the page's directory", i+1, name[1])
			}
			file, fileLine = name[1], i+1
			continue
		}
		opening := fence.FindStringSubmatch(lines[i])
		if opening == nil {
			if file != "" && lines[i] != "" {
				return nil, fmt.Errorf("%d: no block follows that could be file %s", fileLine, file)
			}
			continue
		}
		start := i + 1
		for i = start; i < len(lines) && lines[i] != opening[1]; i++ {
		}
		if i == len(lines) {
			return nil, fmt.Errorf("%d: the block does not end", start)
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

// parseConsole finds the commands of a block that begins at the line start, from
// 0, and goes on to the end of lines.
func parseConsole(lines []string, start int) ([]step, error) {
	var steps []step
	for i := start; i < len(lines); {
		first, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			return nil, fmt.Errorf("%d: this is printed by no command", i+1)
		}
		s := step{line: i + 1, text: first}
		for i++; strings.HasSuffix(s.text, `\`) && i < len(lines); i++ {
			s.text += "\n" + lines[i]
		}
		if ends := here.FindStringSubmatch(s.text); ends != nil {
			for ended := false; !ended; i++ {
				if i == len(lines) {
					return nil, fmt.Errorf("%d: the here-document does not end with %s", s.line, ends[1])
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
