// Package docs runs the examples of a page of documentation, so that what a page
// prints is what its reader gets.
//
// A page is Markdown. In its fenced blocks that say console, lines that begin with
// "$ " are commands, continued while a line ends with a backslash and through
// here-documents. The lines after a command are what it prints, to standard output
// and error; a line "..." stands for any lines. A block after the comment
//
//	<!-- file: client.py -->
//
// is that file, whatever its language. All other blocks are for the eye alone.
//
// The files are written, and the commands run, in the order of the page, in one
// bash whose directory, unless another is set, is empty at first. A command that fails fails the page; one
// that is meant to fail says so: "$ curl ...; echo $?".
//
// What differs from run to run need not be the same: ids, ETags, the continue of
// lists, times, ages. But an id that a page shows twice is one id in the run too,
// and in a command it means the one that the run has in its place.
package docs

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the commands print into the pages of documentation")

// Setting is where a page is run.
type Setting struct {
	// Env is added to the environment of this process.
	Env map[string]string
	// Dir is the directory; an empty one when "".
	Dir string
	// Here says what texts of the pages, such as an address, are here.
	Here map[string]string
}

// Run runs the page, a path. Everything that it prints otherwise than the page
// says is an error of the test, with the line. With -update, the page is changed
// to say what was printed.
func Run(t testing.TB, page string, setting Setting) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	updated, wrong, err := play(t.Context(), string(text), cmp.Or(setting.Dir, t.TempDir()), setting)
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

// Files returns the files of a page, a path, by their names. It returns an error
// when the page is none, or cannot be read.
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

// play runs a page in the directory dir. It returns the page as it is to be, and
// what is wrong with it as it is; an error when it could not be run to its end.
// Both begin with the number of a line.
func play(ctx context.Context, page, dir string, setting Setting) (updated string, wrong []string, err error) {
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
	here, there := replacers(setting.Here)
	pairs := newPairs()
	var out []string // the page as it is to be, up to the line next
	next := 0
	for _, s := range steps {
		if s.file != "" {
			if err := write(filepath.Join(dir, s.file), here.Replace(s.text)); err != nil {
				return "", nil, fmt.Errorf("%d: %w", s.line, err)
			}
			continue
		}
		output, status, err := bash.run(here.Replace(pairs.real(s.text)))
		if err != nil {
			return "", nil, fmt.Errorf("%d: $ %s\n%w", s.line, s.text, err)
		}
		got := printed(there.Replace(output))
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
		wrong = append(wrong, fmt.Sprintf("%d: $ %s\n-what the page says, +what is printed:\n%s",
			s.line, s.text, gocmp.Diff(plain(s.printed), plain(pairs.page(got)))))
		out = append(out, got...)
	}
	out = append(out, lines[next:]...)
	return pairs.real(strings.Join(out, "\n")), wrong, nil
}

// replacers translate texts of the pages to what they are here, and back.
func replacers(places map[string]string) (here, there *strings.Replacer) {
	var forth, back []string
	for page, real := range places {
		forth = append(forth, page, real)
		back = append(back, real, page)
	}
	return strings.NewReplacer(forth...), strings.NewReplacer(back...)
}

// printed are the lines of an output.
func printed(output string) []string {
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	return trimmed(lines)
}

// trimmed is lines without the empty ones at its end.
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
