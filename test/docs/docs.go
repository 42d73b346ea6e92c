// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs runs the examples of a page of documentation, so that a reader gets the
// output that the page shows.
//
// A page is Markdown. In its fenced blocks of type console, lines that begin with
// "$ " are commands. A command continues after a line that ends with a backslash, and
// to the end of a here-document. The lines after a command are its output (standard
// output and standard error); a line "..." matches any number of lines. A block after
// the comment
//
//	<!-- file: client.py -->
//
// is the content of that file. All other blocks are ignored.
//
// The files are written and the commands run in the order of the page, in one bash.
// Its directory is empty at first, unless the Setting has another. A command that
// fails fails the page. Write "$ curl ...; echo $?" if it is expected to fail.
//
// Values that differ between runs may differ: ids, ETags, the continue tokens of lists,
// times and ages. But an id that a page shows twice must be the same id twice
// in the run. In a command, an id of the page is replaced by the id of the run.
package docs

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the output of the commands into the pages")

// Setting is the environment in which a page runs.
type Setting struct {
	// Env is added to the environment of this process.
	Env map[string]string
	// Dir is the directory. If it is "", the page runs in a new empty one.
	Dir string
	// Replace maps texts of the pages, such as an address, to the texts of this run.
	Replace map[string]string
}

// Run runs the page at a path. Each command whose output differs from the page is an
// error of the test, with its line. With -update, Run writes the output into the page.
func Run(t testing.TB, page string, setting Setting) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir := setting.Dir
	if dir == "" {
		dir = newDirectory(t)
	}
	updated, wrong, err := runPage(t.Context(), string(text), dir, setting)
	if err != nil {
		t.Fatalf("%s:%v", page, err)
	}
	if !*update {
		for _, w := range wrong {
			t.Errorf("%s:%s", page, w)
		}
		return
	}
	if err := os.WriteFile(page, []byte(updated), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newDirectory returns a new empty directory. The go.mod above it ends the search of the
// go command for a module, which would else see what others left in /tmp.
func newDirectory(t testing.TB) string {
	t.Helper()
	above := t.TempDir()
	module := "module page\n\ngo " + strings.TrimPrefix(runtime.Version(), "go") + "\n"
	if err := write(filepath.Join(above, "go.mod"), module); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above, "page")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Files returns the files in the page at a path, by name. It returns an error if the
// page cannot be read or parsed.
func Files(page string) (map[string]string, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	steps, err := parse(strings.Split(string(text), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s:%w", page, err)
	}
	files := map[string]string{}
	for _, s := range steps {
		if s.file != "" {
			files[s.file] = s.text
		}
	}
	return files, nil
}

// runPage runs a page in the directory dir. It returns the page with the real output,
// and the differences. It returns an error if the page could not run to its end.
// Differences and errors begin with a line number.
func runPage(ctx context.Context, page, dir string, setting Setting) (updated string, wrong []string, err error) {
	lines := strings.Split(page, "\n")
	steps, err := parse(lines)
	if err != nil {
		return "", nil, err
	}
	bash, err := start(ctx, dir, setting.Env)
	if err != nil {
		return "", nil, fmt.Errorf("1: start bash: %w", err)
	}
	defer bash.stop()
	toRun, toPage := replacers(setting.Replace)
	pairs := newPairs()
	var out []string // the updated page, up to the line next
	next := 0
	for _, s := range steps {
		if s.file != "" {
			if err := write(filepath.Join(dir, s.file), toRun.Replace(s.text)); err != nil {
				return "", nil, fmt.Errorf("%d: %w", s.line, err)
			}
			continue
		}
		output, status, err := bash.run(toRun.Replace(pairs.real(s.text)))
		if err != nil {
			return "", nil, fmt.Errorf("%d: $ %s\n%w", s.line, s.text, err)
		}
		got := printed(toPage.Replace(output))
		if status != 0 {
			wrong = append(wrong, fmt.Sprintf("%d: $ %s\nexit status %d", s.line, s.text, status))
		}
		out = append(out, lines[next:s.from]...)
		next = s.to
		if to, ok := pairs.match(s.printed, got); ok {
			out = append(out, to...)
			continue
		}
		pairs.guess(s.printed, got)
		wrong = append(wrong, fmt.Sprintf("%d: $ %s\n-page +output:\n%s",
			s.line, s.text, cmp.Diff(plain(s.printed), plain(pairs.page(got)))))
		out = append(out, got...)
	}
	out = append(out, lines[next:]...)
	return pairs.real(strings.Join(out, "\n")), wrong, nil
}

// replacers returns replacers from texts of the page to those of the run, and back.
func replacers(texts map[string]string) (toRun, toPage *strings.Replacer) {
	var forth, back []string
	for page, real := range texts {
		forth = append(forth, page, real)
		back = append(back, real, page)
	}
	return strings.NewReplacer(forth...), strings.NewReplacer(back...)
}

// printed returns the lines of an output, without spaces at their ends.
func printed(output string) []string {
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	return trimmed(lines)
}

// trimmed returns lines without the empty ones at the end.
func trimmed(lines []string) []string {
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}
