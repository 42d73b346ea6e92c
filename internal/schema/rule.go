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
)

// runtimeBudget bounds the cost of all rules together for one value, in the
// units of Kubernetes: about one second.
const runtimeBudget = celconfig.RuntimeCELCostBudget

// rule is one compiled entry of x-kubernetes-validations.
type rule struct {
	cel.CompilationResult
	rule    string
	message string
	path    []string // the keys of its fieldPath
}

// fieldPathKey is one key of a fieldPath that Kubernetes has found to be sound:
// .key, or ['key'] with escapes.
var fieldPathKey = regexp.MustCompile(`\.([^.\[\]]+)|\['((?:[^'\\]|\\.)*)'\]`)

var unescape = strings.NewReplacer(`\'`, `'`, `\\`, `\`, `\a`, "\a", `\b`, "\b", `\f`, "\f", `\n`, "\n", `\r`, "\r", `\t`, "\t", `\v`, "\v")

// keysOf are the keys of a sound fieldPath. Kubernetes' own normal form of it does
// not tell a dot in a key from one between keys.
func keysOf(fieldPath string) (keys []string) {
	for _, match := range fieldPathKey.FindAllStringSubmatch(fieldPath, -1) {
		keys = append(keys, match[1]+unescape.Replace(match[2]))
	}
	return keys
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
			b.fail(here.keyword("rule"), "uses oldSelf, but an input has no older value")
		case result.MessageExpressionError != nil:
			b.fail(here.keyword("messageExpression"), "%w", result.MessageExpressionError)
		case declared.FieldPath != "" && result.NormalizedRuleFieldPath == "":
			b.fail(here.keyword("fieldPath"), "is not a path in the schema")
		}
		n.rules = append(n.rules, rule{
			CompilationResult: result, rule: declared.Rule, message: strings.TrimSpace(declared.Message), path: keysOf(declared.FieldPath),
		})
	}
}

// rules evaluates the node's rules on v, which is right in everything else.
func (c *check) rules(n *node, v value, at *spot) *Violation {
	vars := map[string]any{cel.ScopedVarName: cel.UnstructuredToVal(v.unstructured(n.spine), n.spine)}
	for _, r := range n.rules {
		if c.holds(r, vars) {
			continue
		}
		for _, key := range r.path {
			at = at.member(key)
		}
		return invalid(at, expectation{Rule: r.rule, Message: c.explain(r, vars)})
	}
	return nil
}

// holds evaluates one rule. A rule that cannot be evaluated, for a missing key,
// an overflow or its cost, does not hold, as in Kubernetes.
func (c *check) holds(r rule, vars map[string]any) bool {
	if c.budget <= 0 {
		return false
	}
	result, details, err := r.Program.ContextEval(context.Background(), vars)
	if details == nil || details.ActualCost() == nil {
		return false
	}
	c.budget -= int64(min(*details.ActualCost(), runtimeBudget))
	return err == nil && c.budget > 0 && result == types.True
}

// explain is the rule's message for this value; its own text when the message
// expression gives none, and "" when it has neither.
func (c *check) explain(r rule, vars map[string]any) string {
	if r.MessageExpression == nil || c.budget <= 0 {
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

// knownFormat says whether Kubernetes checks a string format in the schema of a
// CustomResourceDefinition. Other formats say something to people only.
func knownFormat(format string) bool {
	if format == "" {
		return false
	}
	s := &spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{"string"}, Format: format}}
	return len(validation.GetUnrecognizedFormats(s, environment.DefaultCompatibilityVersion())) == 0
}
