// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"procman.dev/procman/internal/strictjson"
)

const (
	// maxBytes bounds the text of a schema.
	maxBytes = 64 << 10
	// maxSchemas bounds the schemas in a schema. The time to compile grows with the
	// square of their number.
	maxSchemas = 2000
	// base is the address of a schema without $id, from which references are resolved.
	base = "schema:///type"
)

// Compile compiles the inputSchema or outputSchema of a process type. A nil s
// accepts any JSON object.
//
// The schema is JSON Schema 2020-12, with these differences:
//   - an object has only the properties that the schema describes (see Validate)
//   - $schema is ignored; items can be an array, as in earlier drafts, and means
//     prefixItems
//   - references lead to places within the schema; $dynamicRef is not supported
//   - patterns have Go's syntax, see pattern
//   - format is only documentation, except for byte (base64), int32 and int64
//   - x-kubernetes-validations are CEL rules, as in a CustomResourceDefinition, without
//     oldSelf
//   - keywords of Kubernetes and of earlier drafts that would be ignored silently, and
//     misspelled keywords, are an error; other unknown keywords are ignored
//
// The error is for the author of the schema: each line begins with the place in the
// schema as a JSON pointer, such as /properties/dpi/minimum.
func Compile(s *apiextensionsv1.JSON) (*Schema, error) {
	if s == nil {
		return &Schema{}, nil
	}
	compiled, err := compile(s.Raw, false)
	if err != nil {
		return nil, err
	}
	for _, n := range compiled.root.spine {
		if n.types != nil && !slices.Contains(n.types, "object") {
			return nil, fail(n.at+"/type", "must be object, because inputs and outputs are JSON objects")
		}
	}
	return compiled, nil
}

// compile is Compile for schemas that also accept other values than objects.
func compile(text []byte, open bool) (*Schema, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("is larger than %d bytes", maxBytes)
	}
	value, err := strictjson.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	document := plain(value, literal)
	a := author{root: document, identified: identified(document)}
	a.schema(document, "")
	if a.schemas > maxSchemas {
		a.fail("", "has more than %d schemas in it", maxSchemas)
	}
	a.numbers(document, "")
	if err := join(a.errs); err != nil {
		return nil, err
	}
	root, err := fromLibrary(document)
	if err != nil {
		return nil, err
	}
	b := builder{document: document, nodes: nodes{}, open: open}
	b.build(root)
	if err := join(b.errs); err != nil {
		return nil, err
	}
	b.nodes[impossible.Schema] = impossible // for additionalProperties: false
	return &Schema{root: b.nodes[root], nodes: b.nodes, unevaluated: b.unevaluated, open: open}, nil
}

// fromLibrary lets the library compile a schema. It knows no other documents.
func fromLibrary(document any) (_ *jsonschema.Schema, err error) {
	defer func() { // a bug of the library must not end the program
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot be compiled: %v", p)
		}
	}()
	all := patterns{byText: map[string]*pattern{}, free: maxPatternSize}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(all.compile)
	if err := c.AddResource(base, document); err != nil {
		return nil, explain(err)
	}
	s, err := c.Compile(base)
	if err != nil {
		return nil, explain(err)
	}
	return s, nil
}

type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("only references within the schema are possible")
}

// explain returns an error of the library in the terms of the schema's author.
func explain(err error) error {
	e, ok := errors.AsType[*jsonschema.SchemaValidationError](err)
	if !ok {
		return errors.New(strings.ReplaceAll(err.Error(), base, ""))
	}
	wrong, ok := errors.AsType[*jsonschema.ValidationError](e.Err)
	if !ok {
		return err
	}
	// Several keywords can be wrong, and the library lists them in any order.
	leaves := innermost(*wrong.DetailedOutput())
	slices.SortStableFunc(leaves, func(a, b jsonschema.OutputUnit) int { return cmp.Compare(a.InstanceLocation, b.InstanceLocation) })
	leaves = slices.CompactFunc(leaves, func(a, b jsonschema.OutputUnit) bool { return a.InstanceLocation == b.InstanceLocation })
	var errs []error
	for _, leaf := range leaves {
		errs = append(errs, fail(pointerOf(e.URL)+leaf.InstanceLocation, "%s", leaf.Error))
	}
	return join(errs)
}

// innermost returns the errors that have no errors as their causes.
func innermost(e jsonschema.OutputUnit) (leaves []jsonschema.OutputUnit) {
	for _, cause := range e.Errors {
		leaves = append(leaves, innermost(cause)...)
	}
	if len(e.Errors) == 0 {
		return []jsonschema.OutputUnit{e}
	}
	return leaves
}

// pointerOf returns the JSON pointer of a location of the library.
func pointerOf(location string) string {
	_, fragment, _ := strings.Cut(location, "#")
	if pointer, err := url.PathUnescape(fragment); err == nil {
		return pointer
	}
	return fragment
}

// below returns the JSON pointer of what is one step below another.
func below(pointer, token string) string {
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// at returns what a JSON pointer leads to.
func at(document any, pointer string) (any, bool) {
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch value := document.(type) {
		case map[string]any:
			inner, ok := value[token]
			if !ok {
				return nil, false
			}
			document = inner
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(value) {
				return nil, false
			}
			document = value[i]
		default:
			return nil, false
		}
	}
	return document, true
}

// join returns the first errors as one, a line for each.
func join(errs []error) error {
	const most = 10
	return errors.Join(errs[:min(most, len(errs))]...)
}

// fail returns an error about a place in a schema.
func fail(pointer, format string, args ...any) error {
	return fmt.Errorf("%s: %w", cmp.Or(pointer, "the schema"), fmt.Errorf(format, args...))
}
