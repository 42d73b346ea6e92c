// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"regexp"
	"strings"

	"github.com/google/cel-go/common/types"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"procman.dev/procman/internal/strictjson"
)

// runtimeBudget bounds the cost of all rules together for one value, in the
// units of Kubernetes. It is about one second.
const runtimeBudget = celconfig.RuntimeCELCostBudget

// rule is one compiled entry of x-kubernetes-validations.
type rule struct {
	cel.CompilationResult
	rule    string
	message string
	path    []step // its fieldPath
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
func (b *builder) rules(n *node, at place) {
	if len(n.props.XValidations) == 0 {
		return
	}
	list := at.keyword("x-kubernetes-validations")
	compiled, err := cel.Compile(n.spine, model.SchemaDeclType(n.spine, false), celconfig.PerCallLimit,
		environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), cel.NewExpressionsEnvLoader())
	if err != nil {
		b.fail(list, "%w", err)
		return
	}
	for i, result := range compiled {
		declared, here := n.props.XValidations[i], list.index(i)
		switch {
		case result.Error != nil:
			b.fail(here.keyword("rule"), "%w", result.Error)
		case result.Program == nil:
			b.fail(here.keyword("rule"), "is empty")
		case result.UsesOldSelf:
			b.fail(here.keyword("rule"), "uses oldSelf, but inputs and outputs have no older value")
		case result.MessageExpressionError != nil:
			b.fail(here.keyword("messageExpression"), "%w", result.MessageExpressionError)
		case declared.FieldPath != "" && result.NormalizedRuleFieldPath == "":
			b.fail(here.keyword("fieldPath"), "is not a path in the schema")
		}
		n.rules = append(n.rules, rule{
			CompilationResult: result, rule: declared.Rule, message: strings.TrimSpace(declared.Message), path: stepsOf(declared.FieldPath),
		})
	}
}

// rules evaluates the rules of n on v, which is valid in everything else.
func (w *walk) rules(n *node, v strictjson.Value) *Violation {
	vars := map[string]any{cel.ScopedVarName: cel.UnstructuredToVal(unstructured(v, n.spine), n.spine)}
	for _, r := range n.rules {
		if !w.satisfies(r, vars) {
			return invalid(w.at(r.path...), expectation{Rule: r.rule, Message: w.message(r, vars)})
		}
	}
	return nil
}

// satisfies evaluates one rule. A rule that cannot be evaluated, because of a
// missing key, an overflow or its cost, is violated, as in Kubernetes.
func (w *walk) satisfies(r rule, vars map[string]any) bool {
	if w.budget <= 0 {
		return false
	}
	result, details, err := r.Program.ContextEval(context.Background(), vars)
	if details == nil || details.ActualCost() == nil {
		return false
	}
	w.budget -= int64(min(*details.ActualCost(), runtimeBudget))
	return err == nil && w.budget > 0 && result == types.True
}

// message returns the message of a rule for this value: that of its message
// expression, or else its fixed one. "" if it has neither.
func (w *walk) message(r rule, vars map[string]any) string {
	if r.MessageExpression == nil || w.budget <= 0 {
		return r.message
	}
	result, details, err := r.MessageExpression.ContextEval(context.Background(), vars)
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

// knownFormat reports whether Kubernetes checks a string format in the schema of a
// CustomResourceDefinition. Other formats are only documentation.
func knownFormat(format string) bool {
	if format == "" {
		return false
	}
	s := &spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{"string"}, Format: format}}
	return len(validation.GetUnrecognizedFormats(s, environment.DefaultCompatibilityVersion())) == 0
}
