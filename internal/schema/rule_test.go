// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"strings"
	"testing"

	"procman.dev/procman/internal/strictjson"
)

// lateContext is a context whose deadline passes after its first check, while a rule is
// evaluated.
type lateContext struct {
	context.Context
	checks int
}

func (c *lateContext) Err() error {
	if c.checks++; c.checks == 1 {
		return nil
	}
	return context.DeadlineExceeded
}

func (c *lateContext) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// A rule is interrupted at its deadline.
func TestRulesEndAtTheirDeadline(t *testing.T) {
	s, err := compile([]byte(`{"type":"object","properties":{"a":{"type":"array","maxItems":300,"items":{"type":"integer"}}},
		"x-kubernetes-validations":[{"rule":"self.a.all(x, self.a.all(y, x + y >= 0))"}]}`), false)
	if err != nil {
		t.Fatal(err)
	}
	v, err := strictjson.Parse([]byte(`{"a":[1` + strings.Repeat(",1", 299) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ctx   context.Context
		valid bool
	}{"in time": {t.Context(), true}, "late": {&lateContext{Context: t.Context()}, false}} {
		w := walk{schema: s, root: "input", steps: maxSteps(v), rules: evaluation{ctx: test.ctx}}
		if violation := w.value([]*node{s.root}, v); (violation == nil) != test.valid {
			t.Errorf("%s: %+v, want valid: %t", name, violation, test.valid)
		}
	}
}
