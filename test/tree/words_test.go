// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// phrase is a way of writing that a reader may have to translate.
type phrase struct {
	pattern *regexp.Regexp
	use     string // what to write instead
	// unless matches a word that makes the phrase plain English: the one before it,
	// its last one, or the one after it. Optional.
	unless *regexp.Regexp
}

// phrases are the phrases that are not used any more. A space matches a line break, too.
var phrases = []phrase{
	avoid(`but for`, `"except"`),
	avoid(`(?:is|are|was|were|be|been|being) told`, `"gets", "is set to", "receives"`),
	avoid(`under way`, `"running", "in progress"`),
	avoid(`likewise`, `"also", "the same way"`),
	avoid(`whoever|whosoever`, `"anyone who", "the client that"`),
	avoid(`(?:is|are|was|were) no \w+`, `"is not a ..."`).exceptBeside(`there|longer|more|less|fewer`),
	avoid(`(?:is|are|was|were) none`, `"is not one", "is not valid"`).exceptBeside(`there`),
	avoid(`goes before|go before`, `"overrides", "comes first"`),
	avoid(`stands? for`, `"means", "is"`),
	avoid(`(?:of|by) (?:itself|themselves)`, `"on its own"`),
	avoid(`whose turn`, `"next in the queue"`),
	avoid(`nobody (?:has|asks|tells|knows)`, `"not set", "unknown"`),
	avoid(`(?:say|says|said) so`, `"reports it", "returns an error"`),
	avoid(`in words`, `"as text", or nothing`),
	avoid(`as well`, `"also", "too"`).exceptBeside(`as`),
	avoid(`to be had`, `"available"`),
	avoid(`makes? of`, `"does with"`),
	avoid(`held against|holds? (?:it|them) against`, `"validated against"`),
	avoid(`goes on`, `"continues"`),
	avoid(`(?:became|become|becomes|came) of`, `"happened to", "the result of"`),
	avoid(`as told`, `"as configured", "as requested"`),
	avoid(`anew`, `"again"`),
	avoid(`(?:place|place is|those|who|waits?|waiting|stands?) in line`, `"in the queue"`),
	avoid(`for good`, `"permanently"`),
	avoid(`(?:fell|falls|fallen) silent`, `"does not answer"`),
	avoid(`as it lies|bears it`, `a plain phrase`),
}

// avoid returns a phrase from a regular expression and what to write instead.
func avoid(pattern, use string) phrase {
	return phrase{pattern: regexp.MustCompile(`(?i)\b(?:` + strings.ReplaceAll(pattern, " ", `\s+`) + `)\b`), use: use}
}

func (p phrase) exceptBeside(words string) phrase {
	p.unless = regexp.MustCompile(`(?i)^(?:` + words + `)$`)
	return p
}

var (
	lastWord  = regexp.MustCompile(`\w+\s*$`)
	firstWord = regexp.MustCompile(`^\s*\w+`)
)

// checked reports whether the words of a file are ours: not the list above, what is
// generated from other files, or what a test compares with.
func checked(f file) bool {
	return f.is(".go", ".md", ".yaml", ".yml", ".sh", ".tmpl", ".py", "Makefile", "Dockerfile") &&
		f.name != "test/tree/words_test.go" && f.name != "config/install.yaml" &&
		!strings.HasPrefix(f.name, "config/crd/bases/") && !strings.Contains(f.name, "/testdata/")
}

// quaint returns every place where a phrase of the list is used.
func quaint(files []file) []string {
	var found []string
	for _, f := range files {
		if !checked(f) {
			continue
		}
		text := f.prose(true)
		for _, p := range phrases {
			for _, at := range p.find(text) {
				match := strings.Join(strings.Fields(text[at[0]:at[1]]), " ")
				found = append(found, f.at(at[0], "use %s instead of %q", p.use, match))
			}
		}
	}
	return found
}

// find returns where the phrase is, as pairs of offsets.
func (p phrase) find(text string) [][]int {
	return slices.DeleteFunc(p.pattern.FindAllStringIndex(text, -1), func(at []int) bool {
		if p.unless == nil {
			return false
		}
		match := strings.Fields(text[at[0]:at[1]])
		return p.unless.MatchString(strings.TrimSpace(lastWord.FindString(text[max(0, at[0]-40):at[0]]))) ||
			p.unless.MatchString(match[len(match)-1]) ||
			p.unless.MatchString(strings.TrimSpace(firstWord.FindString(text[at[1]:])))
	})
}

// TestWords fails when a comment, a text of a program or a page uses a phrase that
// a reader may have to translate. Rewrite the whole sentence, not only the phrase.
func TestWords(t *testing.T) {
	t.Parallel()
	report(t, quaint(read(t, repository())))
}

func TestWordsFindsFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want string }{
		"a page":                     {"a.md", "All but for one.", "a.md:1: use \"except\" instead of \"but for\""},
		"over the end of a line":     {"a.go", "package a\n\n// All but\n// for one.\n", "a.go:3: use \"except\" instead of \"but for\""},
		"a text of a program":        {"a.go", "package a\n\nvar x = \"is no object\"", "a.go:3: use \"is not a ...\" instead of \"is no object\""},
		"a capital":                  {"a.sh", "# Likewise.", "a.sh:1: use \"also\", \"the same way\" instead of \"Likewise\""},
		"a name of Go":               {"a.go", "package a\n\nvar likewise = 1", ""},
		"part of a word":             {"a.md", "renewal, tastes good", ""},
		"there is no":                {"a.md", "There is no object. There\nare none. It is no longer so.", ""},
		"as well as":                 {"a.md", "One as well as two.", ""},
		"generated":                  {"config/install.yaml", "a: likewise", ""},
		"what a test compares with":  {"a/testdata/golden.md", "likewise", ""},
		"a program of another's":     {"a.py", "x = 'anew'", "a.py:1: use \"again\" instead of \"anew\""},
		"a template of a new worker": {"a/README.md.tmpl", "as well", "a/README.md.tmpl:1: use \"also\", \"too\" instead of \"as well\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var root fs.FS = fstest.MapFS{test.file: {Data: []byte(test.text)}}
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			if diff := cmp.Diff(want, quaint(read(t, root))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
