// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/rules"
)

// newCollector returns the collector of a process whose output must have an integer n.
func newCollector() *collector {
	processType := &v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{OutputSchema: &apiextensionsv1.JSON{
		Raw: []byte(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`),
	}}}
	return &collector{
		token: "secret", timeout: time.Minute, rules: rules.New(processType), emit: func(Event) {},
		process: &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1alpha1.ProcessSpec{Type: "t", Input: `{"a": 1.0}`}},
	}
}

func crash() agentapi.Result {
	r := agentapi.Failure("WorkerFailed", map[string]any{"exitCode": 3})
	r.Retry = true
	return r
}

func TestCollectorNeedsTheToken(t *testing.T) {
	c := newCollector()
	for _, token := range []string{"", "other"} {
		if _, err := c.Attempt(t.Context(), token); !errors.Is(err, agentapi.ErrUnauthenticated) {
			t.Errorf("token %q: got %v, want ErrUnauthenticated", token, err)
		}
	}
	if _, err := c.Attempt(t.Context(), "secret"); err != nil {
		t.Error(err)
	}
}

func TestCollectorOfTwoAttempts(t *testing.T) {
	c := newCollector()
	c.begin(1, false)
	in, err := c.Input(t.Context())
	text, readErr := io.ReadAll(in.Content)
	in.Content = nil
	want := agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 1, Timeout: time.Minute, Bytes: 10}
	if diff := cmp.Diff(want, in); diff != "" || err != nil || readErr != nil || string(text) != `{"a": 1.0}` {
		t.Errorf("input: %s, %v, %v %s", text, err, readErr, diff)
	}
	if result, retry := c.end(crash()); !retry || result.Attempt != 1 {
		t.Errorf("after the first crash: retry %t, %+v", retry, result)
	}

	c.begin(2, false)
	for _, report := range []struct { // by the same rule as the operator's
		percent int32
		want    error
	}{{40, nil}, {40, nil}, {60, agentapi.ErrTooSoon}} {
		if err := c.Progress(t.Context(), agentapi.Progress{PercentComplete: report.percent}); !errors.Is(err, report.want) {
			t.Errorf("a report of %d: %v, want %v", report.percent, err, report.want)
		}
	}
	if err := c.Result(t.Context(), agentapi.Result{Output: `{"n": 2}`}); err != nil {
		t.Error(err)
	}
	if err := c.Result(t.Context(), agentapi.Result{Output: `{"n": 3}`}); !errors.Is(err, agentapi.ErrOver) {
		t.Errorf("second result: got %v, want ErrOver", err)
	}
	if _, retry := c.end(crash()); retry {
		t.Error("another attempt follows, want none: a delivered result overrides the receipt")
	}
	status := c.current().Status
	if status.State != v1alpha1.StateComplete || status.Output != `{"n": 2}` || *status.Attempts != 2 || *status.PercentComplete != 40 {
		t.Errorf("the process is %+v", status)
	}
}

func TestCollectorAfterTheLastAttempt(t *testing.T) {
	for name, test := range map[string]struct {
		interrupted bool
		retry       bool
	}{
		"a crash":         {false, false},
		"an interruption": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, r := newCollector(), crash()
			r.Interrupted = test.interrupted
			c.begin(3, true)
			if _, retry := c.end(r); retry != test.retry {
				t.Errorf("retry %t, want %t", retry, test.retry)
			}
			if s := c.current().Status; !test.retry && (s.ErrorCode != "WorkerFailed" || s.ErrorDetails != `{"attempts":3,"exitCode":3}`) {
				t.Errorf("the process is %+v", s)
			}
		})
	}
}

func TestCollectorValidatesTheOutput(t *testing.T) {
	c := newCollector()
	c.begin(1, false)
	if err := c.Result(t.Context(), agentapi.Result{Output: `{"n":"x"}`}); err != nil {
		t.Error(err)
	}
	if s := c.current().Status; s.ErrorCode != "OutputInvalid" || !strings.Contains(s.ErrorDetails, `"at":"output.n"`) {
		t.Errorf("the process is %+v", s)
	}
}
