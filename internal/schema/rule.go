// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

const (
	// maxEstimatedCost bounds the cost of a rule as Kubernetes estimates it from the
	// schema, for one evaluation. It is Kubernetes' own limit for a rule.
	maxEstimatedCost = 10_000_000
	// runtimeBudget bounds the cost of all rules together for one value, in the units of
	// Kubernetes.
	runtimeBudget = celconfig.RuntimeCELCostBudget
	// rulesTimeout bounds their time.
	rulesTimeout = time.Second
	// maxRules and maxTypes bound the time to compile.
	maxRules = 100
	maxTypes = 2000
)

// rule is one compiled entry of x-kubernetes-validations.
type rule struct {
	cel.CompilationResult
	rule    string
	message string
	path    []step // its fieldPath
	schema  *structural.Structural
}

// fieldPathKey matches one key of a fieldPath that Kubernetes accepted: .key, or
// ['key'] with escapes.
var fieldPathKey = regexp.MustCompile(`\.([^.\[\]]+)|\['((?:[^'\\]|\\.)*)'\]`)

var unescape = strings.NewReplacer(`\'`, `'`, `\\`, `\`, `\a`, "\a", `\b`, "\b", `\f`, "\f", `\n`, "\n", `\r`, "\r", `\t`, "\t", `\v`, "\v")

// stepsOf returns the steps of a fieldPath that Kubernetes accepted. In Kubernetes'
// own normal form of it, a dot in a key looks like one between keys.
func stepsOf(fieldPath string) (steps []step) {
	for _, match := range fieldPathKey.FindAllStringSubmatch(fieldPath, -1) {
		steps = append(steps, member(match[1]+unescape.Replace(match[2])))
	}
	return steps
}

// rules compiles the node's CEL rules.
func (b *builder) rules(n *node) {
	const keyword = "x-kubernetes-validations"
	written, ok := n.keywords[keyword]
	if !ok {
		return
	}
	text, err := json.Marshal(written)
	if err != nil {
		panic("schema: encode what was decoded from JSON: " + err.Error())
	}
	var declared []apiextensionsv1.ValidationRule
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&declared); err != nil {
		b.fail(n, keyword, "%w", err)
		return
	}
	if b.declared += len(declared); b.declared > maxRules {
		b.fail(n, keyword, "a schema can have %d rules", maxRules)
		return
	}
	reader := typeReader{nodes: b.nodes, visiting: map[*node]int{}}
	self := reader.typeOf(n)
	switch {
	case reader.types > maxTypes:
		b.fail(n, keyword, "the value is too complex for a rule: it has more than %d schemas in it", maxTypes)
		return
	case self == nil:
		b.fail(n, keyword, "a rule can only be about values of one type")
		return
	}
	self.XValidations = declared
	compiled, err := cel.Compile(self, model.SchemaDeclType(self, false), celconfig.PerCallLimit,
		environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), cel.NewExpressionsEnvLoader())
	if err != nil {
		b.fail(n, keyword, "%w", err)
		return
	}
	for i, result := range compiled {
		here := func(name string) string { return keyword + "/" + strconv.Itoa(i) + "/" + name }
		switch {
		case result.Error != nil:
			b.fail(n, here("rule"), "%w", result.Error)
		case result.Program == nil:
			b.fail(n, here("rule"), "is empty")
		case result.UsesOldSelf:
			b.fail(n, here("rule"), "uses oldSelf, but inputs and outputs have no older value")
		case result.MaxCost > maxEstimatedCost:
			b.fail(n, here("rule"), "can cost %d by Kubernetes' estimate, at most %d are allowed: set maxItems, maxLength and maxProperties of what it reads", result.MaxCost, maxEstimatedCost)
		case result.MessageExpressionError != nil:
			b.fail(n, here("messageExpression"), "%w", result.MessageExpressionError)
		case declared[i].FieldPath != "" && result.NormalizedRuleFieldPath == "":
			b.fail(n, here("fieldPath"), "is not a path in the schema")
		}
		n.rules = append(n.rules, rule{result, declared[i].Rule, strings.TrimSpace(declared[i].Message), stepsOf(declared[i].FieldPath), self})
	}
}

// typeReader finds the types that rules can read.
type typeReader struct {
	nodes    nodes
	visiting map[*node]int
	types    int
}

// typeOf returns the type of a schema's values for rules, nil if rules cannot read them
// because they can have several types. Null does not count: {"anyOf": [{"type": "string"},
// {"type": "null"}]} is a string that can be null. A recursive type ends after its
// second level.
func (r *typeReader) typeOf(n *node) *structural.Structural {
	if r.types++; r.types > maxTypes || r.visiting[n] == 2 {
		return nil
	}
	r.visiting[n]++
	defer func() { r.visiting[n]-- }()
	t := &structural.Structural{ValueValidation: &structural.ValueValidation{}}
	parts := r.described(n, nil)
	var names []string
	for _, part := range parts {
		if part.types != nil && names == nil {
			names = part.types
		}
	}
	t.Nullable = names == nil || slices.Contains(names, "null")
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "null" })
	slices.Sort(names)
	switch {
	case slices.Equal(names, []string{"integer", "string"}):
		t.XIntOrString = true
	case len(names) == 1:
		t.Type = names[0]
	case len(names) == 0 && slices.ContainsFunc(parts, (*node).describesObjects):
		t.Type = "object"
	default:
		return nil
	}
	for _, part := range parts {
		r.describe(t, part)
	}
	return t
}

// described adds the schemas that every value of a schema has, except null: its spine,
// and the only choice that is not null.
func (r *typeReader) described(n *node, all []*node) []*node {
	for _, part := range n.spine {
		all = append(all, part)
		for _, choices := range [][]*jsonschema.Schema{part.AnyOf, part.OneOf} {
			choices = slices.DeleteFunc(slices.Clone(choices), func(s *jsonschema.Schema) bool {
				return slices.Equal(r.nodes[s].types, []string{"null"})
			})
			if len(choices) == 1 {
				all = r.described(r.nodes[choices[0]], all)
			}
		}
	}
	return all
}

// describe adds to a type what one schema says about it.
func (r *typeReader) describe(t *structural.Structural, n *node) {
	least := func(to **int64, bound *int) {
		if bound != nil && (*to == nil || int64(*bound) < **to) {
			*to = new(int64(*bound))
		}
	}
	least(&t.ValueValidation.MaxLength, n.MaxLength)
	least(&t.ValueValidation.MaxItems, n.MaxItems)
	least(&t.ValueValidation.MaxProperties, n.MaxProperties)
	if format, ok := n.keywords["format"].(string); ok {
		t.ValueValidation.Format = format
	}
	t.ValueValidation.Required = append(t.ValueValidation.Required, n.Required...)
	for key, s := range n.Properties {
		if inner := r.typeOf(r.nodes[s]); inner != nil {
			if t.Properties == nil {
				t.Properties = map[string]structural.Structural{}
			}
			t.Properties[key] = *inner
		}
	}
	if s, ok := n.AdditionalProperties.(*jsonschema.Schema); ok && t.Properties == nil {
		if inner := r.typeOf(r.nodes[s]); inner != nil {
			t.AdditionalProperties = &structural.StructuralOrBool{Structural: inner}
		}
	}
	if n.Items2020 != nil && n.PrefixItems == nil {
		t.Items = r.typeOf(r.nodes[n.Items2020])
	}
}

// evaluation is the evaluation of all rules for one value.
type evaluation struct {
	ctx    context.Context
	cancel context.CancelFunc
	spent  uint64
}

func (e *evaluation) close() {
	if e.cancel != nil {
		e.cancel()
	}
}

// over reports whether the time or the budget of the rules is spent. The time begins
// with the first rule.
func (e *evaluation) over() bool {
	if e.ctx == nil {
		e.ctx, e.cancel = context.WithTimeout(context.Background(), rulesTimeout)
	}
	return e.spent >= runtimeBudget || e.ctx.Err() != nil
}

// checkRules evaluates the rules of all schemas of a value, which is valid in
// everything else.
func (w *walk) checkRules(a *application, v strictjson.Value) *Violation {
	for _, r := range a.rules {
		if a.done || !r.appliesTo(v) {
			break
		}
		vars := map[string]any{cel.ScopedVarName: cel.UnstructuredToVal(plain(v, kubernetesNumber), r.schema)}
		if !w.rules.satisfies(r, vars) {
			return w.violation(errorcode.InvalidInput, expectation{{"rule", r.rule}}.message(w.rules.message(r, vars)), r.path...)
		}
	}
	for _, inner := range a.inPlace {
		if violation := w.checkRules(inner, v); violation != nil {
			return violation
		}
	}
	return nil
}

// appliesTo reports whether a value has the type that the rule is about. Another one is
// not null only if the schema allows it.
func (r *rule) appliesTo(v strictjson.Value) bool {
	switch v.Kind() {
	case object:
		return r.schema.Type == "object"
	case array:
		return r.schema.Type == "array"
	default:
		return v.Kind() != null && r.schema.Type != "object" && r.schema.Type != "array"
	}
}

// satisfies evaluates one rule. A rule that cannot be evaluated, because of a missing
// key, an overflow, its cost or its time, is violated, as in Kubernetes.
func (e *evaluation) satisfies(r rule, vars map[string]any) bool {
	if e.over() {
		return false
	}
	result, details, err := r.Program.ContextEval(e.ctx, vars)
	if details == nil || details.ActualCost() == nil {
		return false
	}
	e.spent += min(*details.ActualCost(), runtimeBudget)
	return err == nil && e.spent < runtimeBudget && result == types.True
}

// message returns the message of a rule for this value: that of its message
// expression, or else its fixed one. "" if it has neither.
func (e *evaluation) message(r rule, vars map[string]any) string {
	if r.MessageExpression == nil || e.over() {
		return r.message
	}
	result, details, err := r.MessageExpression.ContextEval(e.ctx, vars)
	if err != nil || details == nil {
		return r.message
	}
	message, ok := result.Value().(string)
	message = strings.TrimSpace(message)
	if !ok || message == "" || len(message) > celconfig.MaxEvaluatedMessageExpressionSizeBytes || strings.Contains(message, "\n") {
		return r.message
	}
	return message
}
