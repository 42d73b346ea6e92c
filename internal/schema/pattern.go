// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxPatternSize bounds all patterns of a schema together, in instructions of their
// compiled form: a short pattern such as ([a-z]{999}){9} becomes very large.
const maxPatternSize = 20_000

// pattern is a regular expression of a schema. JSON Schema recommends the syntax of
// ECMA-262. Go's has no look-ahead, because its time is linear. But the look-aheads
// at the beginning of a pattern, where pydantic and zod write them, are only further
// conditions: ^(?!a)(?=b)c is c, and not a, and b, each from the beginning.
type pattern struct {
	text  string
	conds []condition
	size  int // instructions of all conditions
	most  int // that size can be
}

// condition is a regular expression that must match, or must not.
type condition struct {
	*regexp.Regexp
	negative bool
}

// patterns are the patterns of one schema.
type patterns struct {
	byText map[string]*pattern
	free   int // instructions that are left
}

// compile is the RegexpEngine of the library.
func (all *patterns) compile(text string) (jsonschema.Regexp, error) {
	if known := all.byText[text]; known != nil {
		return known, nil
	}
	p := &pattern{text: text, most: all.free}
	if err := p.compile(); err != nil {
		return nil, err
	}
	all.byText[text] = p
	all.free -= p.size
	return p, nil
}

func (p *pattern) compile() error {
	rest, anchored := strings.CutPrefix(ecmaEscapes(p.text), "^")
	for anchored && (strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?=")) {
		end, _ := scan(rest[1:])
		if end < 0 {
			break
		}
		ahead, next, negative := rest[3:end], rest[end+1:], rest[2] == '!'
		if _, alternatives := scan(next); alternatives {
			break // the look-ahead is only about the first of them
		}
		if err := p.add("^(?:"+ahead+")", negative); err != nil {
			return err
		}
		rest = next
	}
	if anchored {
		rest = "^" + rest
	}
	return p.add(rest, false)
}

// add adds a condition.
func (p *pattern) add(text string, negative bool) error {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return explainPattern(err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return explainPattern(err)
	}
	if p.size += len(program.Inst); p.size > p.most {
		return fmt.Errorf("is too large: all patterns of a schema can have %d instructions in their compiled form", maxPatternSize)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return explainPattern(err)
	}
	p.conds = append(p.conds, condition{compiled, negative})
	return nil
}

func explainPattern(err error) error {
	e, ok := errors.AsType[*syntax.Error](err)
	switch {
	case !ok:
		return err
	case e.Code == syntax.ErrInvalidPerlOp && (strings.HasPrefix(e.Expr, "(?=") || strings.HasPrefix(e.Expr, "(?!") || strings.HasPrefix(e.Expr, "(?<")):
		return fmt.Errorf("%s is supported only as a look-ahead at the beginning, after ^", e.Expr)
	default:
		return fmt.Errorf("%s: %s", e.Code, e.Expr)
	}
}

func (p *pattern) MatchString(s string) bool {
	for _, c := range p.conds {
		if c.MatchString(s) == c.negative {
			return false
		}
	}
	return true
}

// steps returns the work to match a text. Go's time is at most proportional to both
// the text and the pattern.
func (p *pattern) steps(textBytes int) int {
	const perStep = 16 // instructions for one byte
	return textBytes * p.size / perStep
}

func (p *pattern) String() string { return p.text }

// scan reads a regular expression up to the parenthesis that closes the group around
// it. It returns the index behind that parenthesis, -1 if there is none, and whether
// there is a | outside of all inner groups.
func scan(s string) (end int, alternatives bool) {
	depth, class := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')' && depth == 0:
			return i + 1, alternatives
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			alternatives = true
		}
	}
	return -1, alternatives
}

var ecmaEscape = regexp.MustCompile(`\\\\|\\u[0-9a-fA-F]{4}`)

// ecmaEscapes replaces \u00e9, which Go does not have, with \x{00e9}.
func ecmaEscapes(text string) string {
	return ecmaEscape.ReplaceAllStringFunc(text, func(s string) string {
		if s == `\\` {
			return s
		}
		return `\x{` + s[2:] + `}`
	})
}
