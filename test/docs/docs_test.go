// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Ids of processes: idA and idB on a page, realA and realB in a run.
var (
	idA, idB       = strings.Repeat("a", 40), strings.Repeat("b", 40)
	realA, realB   = strings.Repeat("c", 40), strings.Repeat("d", 40)
	forged         = strings.Repeat("e", 40)
	pageDay        = "2026-11-24T03:51:10.000Z"
	requestA, reqR = strings.Repeat("q", 26), strings.Repeat("r", 26)
)

// console returns a page with one block.
func console(lines ...string) string {
	return "# Page\n\n```console\n" + strings.Join(lines, "\n") + "\n```\n"
}

// run runs a page in an empty directory.
func run(t *testing.T, page string, setting Setting) (string, []string) {
	t.Helper()
	updated, wrong, err := runPage(t.Context(), page, t.TempDir(), setting)
	if err != nil {
		t.Fatal(err)
	}
	return updated, wrong
}

func TestMatchingPages(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"no example":          "# Page\n\n```json\n{}\n```\n",
		"output":              console("$ echo one; echo two >&2", "one", "two"),
		"no output":           console("$ true"),
		"an expected failure": console("$ false; echo $?", "1"),
		"state is kept":       console("$ name=world; mkdir -p below; cd below", "$ echo hello $name; basename $PWD", "hello world", "below"),
		"state from block to block": console("$ name=world") + console(
			"$ echo hello $name", "hello world"),
		"continued":              console("$ echo one \\", "    two", "one two"),
		"a here-document":        console("$ sed 's/^. //' <<EOF; echo after", "$ one", "$ two", "EOF", "one", "two", "after"),
		"a quoted here-document": console("$ cat <<'EOF'", "$HOME", "EOF", "$HOME"),
		"a here-string":          console("$ cat <<<one", "one"),
		"an empty line between":  console("$ echo one", "one", "", "$ echo two", "two"),
		"an empty line within":   console("$ printf 'one\\n\\ntwo\\n'", "one", "", "two"),
		"nothing to read":        console("$ cat; echo end", "end"),
		"carriage returns":       console(`$ printf 'one\r\ntwo'`, "one", "two"),
		"any lines":              console("$ seq 9", "1", "...", "5", "...", "9"),
		"any lines, of which there are none": console(
			"$ echo one", "...", "one", "..."),
		"a file":              "<!-- file: below/hello.sh -->\n\n```sh\necho hello\n```\n" + console("$ bash below/hello.sh", "hello"),
		"a file on two sides": "<!-- file: f -->\n```sh\n1\n```\n" + console("$ cat f", "1") + "<!-- file: f -->\n```sh\n2\n```\n" + console("$ cat f", "2"),
		"a longer fence":      "````console\n$ echo '```'\n```\n````\n",
		"ids":                 console("$ echo "+realA+" "+realB, idA+" "+idB, "$ echo "+realB+" "+realA, idB+" "+idA),
		"ids in commands":     console("$ echo "+realA, idA, "$ test "+idA+" = "+realA+" || echo other"),
		"ids behind any lines": console(
			"$ echo "+realB+"; echo at "+realA, "...", "at "+idA, "$ test "+idA+" = "+realA+" || echo other"),
		"an id that no command returned": console("$ test " + forged + " = " + strings.Repeat("e", 20) + strings.Repeat("e", 20)),
		"request ids":                    console("$ echo X-Request-Id: "+reqR, "X-Request-Id: "+requestA),
		"ETags":                          console(`$ echo 'ETag: "00000000000000ff"'`, `ETag: "aaaaaaaaaaaaaaaa"`, `$ test '"aaaaaaaaaaaaaaaa"' = '"00000000000000ff"' || echo other`),
		"times":                          console("$ echo "+strings.ReplaceAll(pageDay, "1", "2")+" Wed, 25 Nov 2026 02:28:38 GMT", pageDay+" Thu, 24 Dec 2026 01:00:00 GMT"),
		"columns":                        console(`$ printf 'NAME      AGE\nlong-name   2m3s  x\n'`, "NAME   AGE", "long-name  3s   x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, wrong := run(t, page, Setting{}); wrong != nil {
				t.Errorf("unexpected differences: %s", wrong)
			}
		})
	}
}

func TestDifferingPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page string
		want string // in the report
	}{
		"another answer":        {console("$ echo one; echo two", "one", "too"), `"two"`},
		"a line too many":       {console("$ echo one", "one", "two"), `"two"`},
		"a line too few":        {console("$ echo one; echo two", "one"), `"two"`},
		"unexpected output":     {console("$ echo one"), `"one"`},
		"the second of a page":  {console("$ echo one", "one", "$ echo two", "one"), "6: $ echo two"},
		"a command that fails":  {console("$ false"), "exit status 1"},
		"any lines, no match":   {console("$ seq 9", "1", "...", "10"), `"10"`},
		"spaces within":         {console("$ echo '{ }'", "{}"), `"{ }"`},
		"no milliseconds":       {console("$ echo 2026-11-24T03:51:10Z", pageDay), "<0000-00-00T00:00:00.000Z>"},
		"no id":                 {console("$ echo "+realA+"a", idA), realA},
		"an id for another":     {console("$ echo "+realA+" "+realB, idA+" "+idB, "$ echo "+realA, idB), idA},
		"two ids as one":        {console("$ echo "+realA+" "+realB, idA+" "+idA), realB},
		"one id as two":         {console("$ echo "+realA+" "+realA, idA+" "+idB), realA},
		"a client's request id": {console("$ echo X-Request-Id: mine-2", "X-Request-Id: mine-1"), "mine-2"},
		"an ETag for another":   {console(`$ echo '"00000000000000ff" "00000000000000fe"'`, `"aaaaaaaaaaaaaaaa" "aaaaaaaaaaaaaaaa"`), "aaaa"},
		"an older file":         {"<!-- file: f -->\n```\n1\n```\n<!-- file: f -->\n```\n2\n```\n" + console("$ cat f", "1"), `"2"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, wrong := run(t, test.page, Setting{})
			if len(wrong) != 1 || !strings.Contains(wrong[0], test.want) {
				t.Errorf("differences: %q\nwant one, with %q", wrong, test.want)
			}
		})
	}
}

func TestPagesThatCannotRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ page, want string }{
		"output of nothing":      {console("one", "$ echo one"), "4: output without a command before it"},
		"a block without an end": {"```console\n$ true\n", "1: the block has no end"},
		"a document without one": {console("$ cat <<EOF", "one"), "4: the here-document has no end EOF"},
		"a file without a block": {"<!-- file: f -->\nText.\n", "1: no block follows with the content of file f"},
		"a file outside":         {"<!-- file: ../f -->\n```\n```\n", "1: file ../f is not below the directory of the page"},
		"the shell ends":         {console("$ true", "$ echo bye; exit 3"), "5: $ echo bye; exit 3\nbash ended, or was killed after 3m0s; its output:\nbye"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := runPage(t.Context(), test.page, t.TempDir(), Setting{})
			if err == nil || strings.TrimSpace(err.Error()) != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func TestSetting(t *testing.T) {
	t.Parallel()
	page := "<!-- file: f -->\n```\nhttp://127.0.0.1:3000/\n```\n" + console(
		"$ cat f", "http://127.0.0.1:3000/",
		"$ test http://127.0.0.1:3000/a = $REAL/a", "$ echo $REAL/b", "http://127.0.0.1:3000/b")
	const real = "http://10.0.0.1:30300"
	updated, wrong := run(t, page, Setting{Env: map[string]string{"REAL": real}, Replace: map[string]string{"http://127.0.0.1:3000": real}})
	if wrong != nil || updated != page {
		t.Errorf("unexpected differences: %s\n%s", wrong, updated)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	page := "Process " + idA + ".\n\n" + console(
		"$ echo id "+realA+"; seq 9", "id "+idA, "...", "9", "",
		"$ echo "+idA, "old", "more",
		"$ echo new") + "\nThe end.\n"
	want := "Process " + realA + ".\n\n" + console(
		"$ echo id "+realA+"; seq 9", "id "+realA, "...", "9", "",
		"$ echo "+realA, realA,
		"$ echo new", "new") + "\nThe end.\n"
	got, wrong := run(t, page, Setting{})
	if diff := cmp.Diff(want, got); diff != "" || len(wrong) != 2 {
		t.Errorf("differences: %s, want 2\n-want +got\n%s", wrong, diff)
	}
	if again, wrong := run(t, got, Setting{}); again != got || wrong != nil {
		t.Errorf("the updated page still differs: %s", wrong)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	text := "<!-- file: a -->\n```\n1\n```\n```\n2\n```\n<!-- file: b/c -->\n```go\n3\n```\n" + console("$ true")
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Files(page)
	if diff := cmp.Diff(map[string]string{"a": "1\n", "b/c": "3\n"}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got\n%s", err, diff)
	}
}

// TestModuleInTemporaryDirectory: a go.mod that somebody left in /tmp changes nothing.
func TestModuleInTemporaryDirectory(t *testing.T) {
	temporary := t.TempDir()
	if err := os.WriteFile(filepath.Join(temporary, "go.mod"), []byte("module left\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary)
	page := filepath.Join(temporary, "page.md")
	text := "<!-- file: main.go -->\n```go\npackage main\n\nfunc main() {}\n```\n" + console("$ go vet main.go")
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The directories of this test were made before TMPDIR was set.
	t.Run("page", func(t *testing.T) { Run(t, page, Setting{}) })
}

// recorder records the errors of a test that must fail.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// TestReport: a difference fails the test, the message contains its place and both
// sides, and the page is not changed.
func TestReport(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	text := console("$ echo one; echo two", "one", "too")
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	Run(r, page, Setting{})
	if len(r.errors) != 1 {
		t.Fatalf("errors %q, want one", r.errors)
	}
	if !strings.HasPrefix(r.errors[0], page+":4: $ echo one; echo two\n") {
		t.Errorf("the error does not start with its place: %s", r.errors[0])
	}
	minus, plus := false, false
	for line := range strings.Lines(r.errors[0]) {
		minus = minus || strings.HasPrefix(line, "-") && strings.Contains(line, `"too"`)
		plus = plus || strings.HasPrefix(line, "+") && strings.Contains(line, `"two"`)
	}
	if !minus || !plus {
		t.Errorf("the error does not contain both sides: %s", r.errors[0])
	}
	if now, err := os.ReadFile(page); err != nil || string(now) != text {
		t.Errorf("the page was changed to %q, error %v", now, err)
	}
}
