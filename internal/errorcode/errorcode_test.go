package errorcode

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestEveryCodeIsDocumented: a code that a client can meet has a row in a table of
// docs/process.md or docs/api.md.
func TestEveryCodeIsDocumented(t *testing.T) {
	var docs []byte
	for _, name := range []string{"../../docs/process.md", "../../docs/api.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, text...)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "errorcode.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || spec.Names[0].Name == "Pattern" {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		code, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		codes++
		if !Valid(code) {
			t.Errorf("%q is no errorCode", code)
		}
		if !regexp.MustCompile(`(?m)^\|.*\b` + code + `\b.*\|$`).Match(docs) {
			t.Errorf("%s is in no table of docs/process.md or docs/api.md", code)
		}
		return true
	})
	if codes < 20 {
		t.Errorf("only %d codes are found in errorcode.go", codes)
	}
}

func TestExplain(t *testing.T) {
	for name, test := range map[string]struct{ details, want string }{
		"no details":     {"", ""},
		"other details":  {`{"n":1}`, ""},
		"no object":      {`[1]`, ""},
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
