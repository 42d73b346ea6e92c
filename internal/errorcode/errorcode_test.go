// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package errorcode

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/error-codes.md")

// constants returns the values of errorcode.go's constants that are codes.
func constants(t *testing.T) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errorcode.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || spec.Type != nil || spec.Names[0].Name == "Pattern" {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			code, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values[code] = true
		}
		return true
	})
	return values
}

func TestAllHasEveryConstant(t *testing.T) {
	missing := constants(t)
	for _, code := range All {
		if !missing[code.Name] {
			t.Errorf("%s is in All twice, or is not a constant", code.Name)
		}
		delete(missing, code.Name)
		if !Valid(code.Name) || code.Meaning == "" {
			t.Errorf("%+v is not complete", code)
		}
		if got := FaultOf(code.Name); got != code.Fault {
			t.Errorf("FaultOf(%s) is %q, want %q", code.Name, got, code.Fault)
		}
	}
	for name := range missing {
		t.Errorf("%s is not in All", name)
	}
	if got := FaultOf("NoSuchPage"); got != "" {
		t.Errorf("the fault of a worker's own code is %q", got)
	}
}

// A client that gets a code finds it in a table of docs/process.md or docs/api.md.
func TestEveryCodeIsDocumented(t *testing.T) {
	var docs []byte
	for _, name := range []string{"../../docs/process.md", "../../docs/api.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, text...)
	}
	for _, code := range All {
		if !regexp.MustCompile(`(?m)^\|.*\b` + code.Name + `\b.*\|$`).Match(docs) {
			t.Errorf("%s is in no table of docs/process.md or docs/api.md", code.Name)
		}
	}
}

// docs/error-codes.md ends with a table that is made from All.
func TestPage(t *testing.T) {
	const page, header = "../../docs/error-codes.md", "| errorCode | whose fault | send it again? | meaning |\n| --- | --- | --- | --- |\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(text), header)
	if !found {
		t.Fatalf("%s does not have the line %q", page, header)
	}
	want := before + header
	for _, code := range All {
		again := map[bool]string{true: "no", false: "yes"}[code.Final]
		want += fmt.Sprintf("| %s | %s | %s | %s |\n", code.Name, code.Fault, again, code.Meaning)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s differs from All; write it with: go test ./internal/errorcode -update\n%s", page, diff)
	}
}

func TestExplain(t *testing.T) {
	for name, test := range map[string]struct{ details, want string }{
		"no details":     {"", ""},
		"other details":  {`{"n":1}`, ""},
		"not an object":  {`[1]`, ""},
		"a message":      {`{"message":"no"}`, "no"},
		"a place":        {`{"at":"input.a","expected":{"type":"string"}}`, `at input.a, expected {"type":"string"}`},
		"both":           {`{"at":"input.a","message":"no"}`, `no (at input.a)`},
		"an exit code 0": {`{"exitCode":0}`, "exit code 0"},
		"other types":    {`{"at":3,"exitCode":"E42","message":"no","signal":9}`, "no"},
		"sizes":          {`{"bytes":5,"maxBytes":4}`, "5 bytes, at most 4"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Explain(test.details); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
