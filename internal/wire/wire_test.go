// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// TestAccepted checks the order of the keys and that the input is copied byte for byte.
func TestAccepted(t *testing.T) {
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: "id-1", CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))},
		Spec:       v1alpha1.ProcessSpec{LifetimeSeconds: 60},
	}
	const want = `{"processId":"id-1","state":"processing","expirationDateTime":"2026-01-02T03:05:05.000Z","createdDateTime":"2026-01-02T03:04:05.000Z","input":{"b": 1.0,"a":12345678901234567890}}`
	if got := joined(Accepted(p, []byte(`{"b": 1.0,"a":12345678901234567890}`))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// joined returns the text of parts, with @ID for each that is stored.
func joined(parts []Part) string {
	text := ""
	for _, part := range parts {
		if !part.Stored.IsZero() {
			text += "@" + part.Stored.ID
		}
		text += string(part.Text)
	}
	return text
}

// TestPayloads: payloads are in their place, whether they are small, large or stored, and a
// large one is not copied.
func TestPayloads(t *testing.T) {
	large := `{"a":"` + strings.Repeat("x", 100_000) + `"}`
	for name, test := range map[string]struct {
		spec   v1alpha1.ProcessSpec
		status v1alpha1.ProcessStatus
		show   Payloads
		want   string // the end of the body
		parts  int
	}{
		"small":         {v1alpha1.ProcessSpec{Input: `{"b":1}`}, v1alpha1.ProcessStatus{Output: `{"c":1}`}, All, `,"input":{"b":1},"output":{"c":1}}`, 1},
		"no input":      {v1alpha1.ProcessSpec{}, v1alpha1.ProcessStatus{Output: `{"c":1}`}, All, `,"input":{},"output":{"c":1}}`, 1},
		"large":         {v1alpha1.ProcessSpec{Input: large}, v1alpha1.ProcessStatus{Output: `{"c":1}`}, All, `,"input":` + large + `,"output":{"c":1}}`, 3},
		"stored input":  {v1alpha1.ProcessSpec{StoredInput: v1alpha1.StoredPayload{ID: "in"}}, v1alpha1.ProcessStatus{Output: `{"c":1}`}, All, `,"input":@in,"output":{"c":1}}`, 3},
		"stored output": {v1alpha1.ProcessSpec{}, v1alpha1.ProcessStatus{StoredOutput: v1alpha1.StoredPayload{ID: "out"}}, All, `,"input":{},"output":@out}`, 3},
		"both stored": {
			v1alpha1.ProcessSpec{StoredInput: v1alpha1.StoredPayload{ID: "in"}}, v1alpha1.ProcessStatus{StoredOutput: v1alpha1.StoredPayload{ID: "out"}},
			All, `,"input":@in,"output":@out}`, 5,
		},
		"not shown": {
			v1alpha1.ProcessSpec{StoredInput: v1alpha1.StoredPayload{ID: "in"}}, v1alpha1.ProcessStatus{StoredOutput: v1alpha1.StoredPayload{ID: "out"}},
			Payloads{}, `"state":"complete","expirationDateTime":"0001-01-01T00:20:00.000Z"}`, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.status.State = v1alpha1.StateComplete
			got := Process(&v1alpha1.Process{Spec: test.spec, Status: test.status}, test.show, 0)
			if text := joined(got); !strings.HasSuffix(text, test.want) || len(got) != test.parts {
				t.Errorf("%d parts: %.300s", len(got), text)
			}
		})
	}
}

func TestState(t *testing.T) {
	p := &v1alpha1.Process{}
	if got := State(p); got != v1alpha1.StateProcessing {
		t.Errorf("the state of a process without one is %q, want processing", got)
	}
	p.Status.State = v1alpha1.StateComplete
	if got := State(p); got != v1alpha1.StateComplete {
		t.Errorf("the state is %q, want complete", got)
	}
}
