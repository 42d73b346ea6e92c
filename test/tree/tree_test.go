// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tree checks the repository itself: comments and pages cite only what
// exists, words are plain, and every package has a test.
package tree

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// file is a text file of the repository.
type file struct {
	name string // from the root, with slashes
	text string
}

// at returns a message about the place of a byte offset.
func (f file) at(offset int, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.name, 1+strings.Count(f.text[:offset], "\n")) + fmt.Sprintf(format, args...)
}

// is reports whether the file has one of these extensions, or one of these names.
func (f file) is(kinds ...string) bool {
	return slices.Contains(kinds, path.Ext(f.name)) || slices.Contains(kinds, path.Base(f.name))
}

// repository is the root of the repository.
func repository() fs.FS { return os.DirFS("../..") }

// read returns the text files of a tree, except what is built.
func read(t *testing.T, root fs.FS) []file {
	t.Helper()
	var files []file
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "bin" || name == "out"):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if !bytes.Contains(text, []byte{0}) { // not a binary file
			files = append(files, file{name, string(text)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// report fails the test with each finding.
func report(t *testing.T, findings []string) {
	t.Helper()
	for _, found := range findings {
		t.Error(found)
	}
}

// prose returns what people read in a file: its comments and, if wanted, its string
// literals. The marks of comments become spaces, and all other bytes, except spaces
// and newlines, become NUL. So every byte keeps its offset, and a phrase may
// continue on the next line of a comment.
func (f file) prose(literals bool) string {
	switch {
	case f.is(".go"):
		return proseOfGo(f.text, literals)
	case f.is(".sh", ".yaml", ".yml", "Makefile", "Dockerfile"):
		return proseOfScript(f.text, literals)
	default:
		return f.text
	}
}

func proseOfGo(text string, literals bool) string {
	prose := blank(text)
	fileSet := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(fileSet, []byte(text), nil, scanner.ScanComments)
	for {
		pos, tok, literal := s.Scan()
		offset := fileSet.Offset(pos)
		switch {
		case tok == token.EOF:
			return string(prose)
		case tok == token.COMMENT:
			copy(prose[offset:], text[offset:offset+len(literal)])
			copy(prose[offset:], "  ")
		case tok == token.STRING && literals:
			copy(prose[offset:], text[offset:offset+len(literal)])
		}
	}
}

// proseOfScript is for languages whose comments start with "#". All of the code
// counts as string literals.
func proseOfScript(text string, literals bool) string {
	prose := []byte(text)
	offset := 0
	for line := range strings.Lines(text) {
		comment := strings.Index(" "+line, " #")
		if comment < 0 {
			comment = len(line)
		} else {
			prose[offset+comment] = ' '
		}
		if !literals {
			copy(prose[offset:], blank(line[:comment]))
		}
		offset += len(line)
	}
	return string(prose)
}

// blank returns text with NUL in place of everything except spaces and newlines.
func blank(text string) []byte {
	out := make([]byte, len(text))
	for i := range len(text) {
		if strings.IndexByte(" \t\r\n", text[i]) >= 0 {
			out[i] = text[i]
		}
	}
	return out
}

func TestProse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file     file
		literals bool
		want     string
	}{
		"comments of Go": {file{"a.go", "package a // one\n\n// two\nvar x = \"three\"\n"}, false, "one two"},
		"strings of Go":  {file{"a.go", "package a // one\n\n// two\nvar x = \"three\"\n"}, true, `one two "three"`},
		"shell":          {file{"a.sh", "#!/bin/sh\n# one\necho $# two # three\n"}, false, "!/bin/sh one three"},
		"all of YAML":    {file{"a.yaml", "# one\ntext: two # three\n"}, true, "one text: two three"},
		"a page":         {file{"a.md", "# one\n"}, false, "# one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := test.file.prose(test.literals)
			if len(got) != len(test.file.text) {
				t.Errorf("the prose has %d bytes, want %d: offsets must not change", len(got), len(test.file.text))
			}
			if diff := cmp.Diff(test.want, strings.Join(strings.Fields(strings.ReplaceAll(got, "\x00", "")), " ")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
