// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?)\s*$`)
	// notInAnchor matches what an anchor leaves out of its heading.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	// source matches the name of a page or a Go file.
	source = regexp.MustCompile(`[\w./-]*\w\.(?:md|go)(?:\.\w+)*\b`)
	// inTree matches a path that starts with a directory of the repository. What
	// comes before it must not be part of a longer path or URL.
	inTree = regexp.MustCompile(`(?:^|[\s("'` + "`" + `])((?:api|apiserver|agent|authorkit|cmd|config|controllers|docs|hack|internal|test|workers)/[\w./*-]+)`)
	// testName matches what a page calls a test.
	testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	record   = regexp.MustCompile(`\bADRs?\s+(\d+)((?:,\s+\d+|\s+and\s+\d+)*)`)
	number   = regexp.MustCompile(`\d+`)
	// fenced matches a code block, and the comment that gives it a file name.
	fenced = regexp.MustCompile("(?ms)^```.*?^```|^    [^\n]*|^<!-- file: .*?-->")
	coded  = regexp.MustCompile("`[^`\n]*`")
)

// placeholder matches the part of a name that a reader replaces.
var placeholder = regexp.MustCompile(`NAME|NNNN`)

// citations returns every citation of something that is not in the tree.
func citations(root fs.FS, files []file) []string {
	var found []string
	for _, f := range files {
		if f.is(".md") {
			found = append(found, links(root, f)...)
		}
		if !f.is(".md", ".go", ".sh", ".yaml", ".yml", "Makefile", "Dockerfile") {
			continue
		}
		text := f.prose(false)
		if f.is(".md") {
			text = fenced.ReplaceAllStringFunc(text, blanked) // such as the output of a command
			for _, at := range testName.FindAllStringIndex(text, -1) {
				if name := text[at[0]:at[1]]; !declared(files, name) {
					found = append(found, f.at(at[0], "cites %s, but there is no such test", name))
				}
			}
		}
		for _, at := range source.FindAllStringIndex(text, -1) {
			if name := text[at[0]:at[1]]; !exists(root, files, f, name) {
				found = append(found, f.at(at[0], "cites %s, which is not in the repository", name))
			}
		}
		for _, at := range inTree.FindAllStringSubmatchIndex(text, -1) {
			if name := strings.TrimRight(text[at[2]:at[3]], ".-"); !source.MatchString(name) && !exists(root, files, f, name) {
				found = append(found, f.at(at[2], "cites %s, which is not in the repository", name))
			}
		}
		for _, at := range record.FindAllStringIndex(text, -1) {
			for _, n := range number.FindAllString(text[at[0]:at[1]], -1) {
				if matches, _ := fs.Glob(root, fmt.Sprintf("docs/adr/%04s-*.md", n)); len(matches) != 1 {
					found = append(found, f.at(at[0], "cites ADR %s, which is not in docs/adr", n))
				}
			}
		}
	}
	return found
}

// exists reports whether a name is a file or a directory, from the root or from
// the directory of the file that cites it. A page may also use the end of a path. The name
// may be a pattern, or end with an identifier of the package that it names.
func exists(root fs.FS, files []file, from file, name string) bool {
	if placeholder.MatchString(name) {
		return true
	}
	dir, last := path.Split(strings.TrimSuffix(name, "/"))
	packageName, _, _ := strings.Cut(last, ".")
	for _, candidate := range []string{name, dir + packageName, name + "-*.md"} {
		for _, base := range []string{".", path.Dir(from.name), "docs"} {
			if matches, _ := fs.Glob(root, path.Join(base, candidate)); len(matches) > 0 {
				return true
			}
		}
	}
	return (dir != "" || from.is(".md")) && slices.ContainsFunc(files, func(f file) bool { return strings.HasSuffix(f.name, "/"+name) })
}

// declared reports whether a Go file declares a test.
func declared(files []file, test string) bool {
	return slices.ContainsFunc(files, func(f file) bool {
		return strings.HasSuffix(f.name, "_test.go") && strings.Contains(f.text, "\nfunc "+test+"(")
	})
}

// links returns every link of a page to a file or heading that does not exist.
func links(root fs.FS, f file) []string {
	var found []string
	text := coded.ReplaceAllStringFunc(fenced.ReplaceAllStringFunc(f.text, blanked), blanked)
	for _, at := range link.FindAllStringSubmatchIndex(text, -1) {
		target := text[at[2]:at[3]]
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		name, anchor, _ := strings.Cut(target, "#")
		cited := f.name
		if name != "" {
			cited = path.Join(path.Dir(f.name), name)
		}
		if _, err := fs.Stat(root, cited); err != nil {
			found = append(found, f.at(at[2], "links to %s, which is not in the repository", target))
			continue
		}
		if anchor == "" {
			continue
		}
		content, err := fs.ReadFile(root, cited)
		if err != nil || !slices.Contains(anchors(string(content)), anchor) {
			found = append(found, f.at(at[2], "links to %s, but %s has no such heading", target, cited))
		}
	}
	return found
}

func blanked(text string) string { return string(blank(text)) }

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(page string) []string {
	var all []string
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllStringFunc(page, blanked), -1) {
		anchor := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
		if n := len(slices.DeleteFunc(slices.Clone(all), func(a string) bool { return a != anchor })); n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		all = append(all, anchor)
	}
	return all
}

// TestCitations fails when a comment or a page cites something that a clone of the
// repository does not have.
func TestCitations(t *testing.T) {
	t.Parallel()
	root := repository()
	report(t, citations(root, read(t, root)))
}

func TestCitationsFindsFaults(t *testing.T) {
	t.Parallel()
	tree := func(name, text string) fs.FS {
		return fstest.MapFS{
			name:                       {Data: []byte(text)},
			"docs/api.md":              {Data: []byte("# The API\n\n## What's `new`, here?\n\n## Twice\n\n## Twice\n")},
			"docs/adr/0004-retries.md": {Data: []byte("# 4. Retries\n")},
			"internal/payload/read.go": {Data: []byte("package payload\n")},
		}
	}
	for name, test := range map[string]struct{ file, text, want string }{
		"a page that exists":        {"a/a.go", "// See docs/api.md, section 1.\npackage a", ""},
		"a page that does not":      {"a/a.go", "package a\n\n// See CONTRACT.md.\n", "a/a.go:3: cites CONTRACT.md, which is not in the repository"},
		"a page below docs":         {"docs/b.md", "Also docs/c.md.", "docs/b.md:1: cites docs/c.md, which is not in the repository"},
		"a string of a program":     {"a/a.go", "package a\n\nvar page = \"in.md\"", ""},
		"a package":                 {"a/a.go", "package a // as internal/payload.Read", ""},
		"a package that is gone":    {"a/a.go", "package a // as internal/rules.Check", "a/a.go:1: cites internal/rules.Check, which is not in the repository"},
		"a file beside it":          {"internal/payload/a.go", "// See read.go.\npackage payload", ""},
		"a file of another package": {"a/a.go", "// See read.go.\npackage a", "a/a.go:1: cites read.go, which is not in the repository"},
		"the end of a path":         {"a.md", "See read.go and payload/read.go.", ""},
		"a test":                    {"a_test.go", "package a\n\nfunc TestA(", ""},
		"a test that is missing":    {"a.md", "TestA", "a.md:1: cites TestA, but there is no such test"},
		"an example's file":         {"a.md", "<!-- file: b.go -->\n```\nc.go\n```\n", ""},
		"a path in a script":        {"a.sh", "# runs hack/none.sh\nhack/other.sh", "a.sh:1: cites hack/none.sh, which is not in the repository"},
		"a path in YAML":            {"a.yaml", "a: 1 # from controllers/none", "a.yaml:1: cites controllers/none, which is not in the repository"},
		"a path that is a URL's":    {"a.md", "https://example.com/docs/none", ""},
		"a record":                  {"a.md", "ADR 4", ""},
		"a record that is missing":  {"a.md", "\nADRs 4 and 5", "a.md:2: cites ADR 5, which is not in docs/adr"},
		"a link":                    {"docs/b.md", "[a](api.md), [b](api.md#whats-new-here), [c](api.md#twice-1), [d](../internal)", ""},
		"a link to nothing":         {"docs/b.md", "[a](../api.json)", "docs/b.md:1: links to ../api.json, which is not in the repository"},
		"a link to no heading":      {"docs/b.md", "[a](api.md#new)", "docs/b.md:1: links to api.md#new, but docs/api.md has no such heading"},
		"a link to its own heading": {"docs/b.md", "# One\n\n[a](#two)", "docs/b.md:3: links to #two, but docs/b.md has no such heading"},
		"a link that is an example": {"docs/b.md", "`[a](none)`\n\n```\n[a](none)\n```\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(test.file, test.text)
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			if diff := cmp.Diff(want, citations(root, read(t, root))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
