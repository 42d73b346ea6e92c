// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

func TestReadiness(t *testing.T) {
	created := time.Unix(1e9, 0)
	const forever = time.Duration(-1) // or until the type changes
	said := func(condition string, generation int64, status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: condition, ObservedGeneration: generation, Status: status, Reason: reason, Message: message}
	}
	const accepted, resolved = v1alpha1.ConditionAccepted, v1alpha1.ConditionImageResolved
	fine := said(accepted, 2, "True", "Accepted", "")
	notFound := func(since time.Time) metav1.Condition {
		c := said(resolved, 2, "False", "ImageNotFound", "no such image")
		c.LastTransitionTime = metav1.NewTime(since)
		return c
	}
	withCommand, without := []string{"/worker"}, []string(nil)
	for name, test := range map[string]struct {
		command    []string
		conditions []metav1.Condition
		after      time.Duration // since the process was created
		waits      time.Duration // until so long after it was created
		code, says string        // of the refusal
	}{
		"accepted":                          {withCommand, []metav1.Condition{fine}, 0, 0, "", ""},
		"accepted, not by every alias":      {withCommand, []metav1.Condition{said(accepted, 2, "True", "AliasTaken", "")}, 0, 0, "", ""},
		"accepted, and launched late":       {withCommand, []metav1.Condition{fine}, time.Hour, 0, "", ""},
		"not accepted":                      {withCommand, []metav1.Condition{said(accepted, 2, "False", "InvalidSchema", "spec.inputSchema: no")}, 0, 0, "TypeNotAccepted", `"message":"process type ocr is not accepted: spec.inputSchema: no","reason":"InvalidSchema"`},
		"not looked at":                     {withCommand, nil, time.Hour, forever, "", ""},
		"not looked at as it is":            {withCommand, []metav1.Condition{said(accepted, 1, "False", "InvalidSchema", "")}, time.Hour, forever, "", ""},
		"resolved":                          {without, []metav1.Condition{fine, said(resolved, 2, "True", "Resolved", "")}, time.Hour, 0, "", ""},
		"not resolved yet":                  {without, []metav1.Condition{fine}, time.Hour, forever, "", ""},
		"an earlier image resolved":         {without, []metav1.Condition{fine, said(resolved, 1, "True", "Resolved", "")}, 0, forever, "", ""},
		"an earlier image not found":        {without, []metav1.Condition{fine, said(resolved, 1, "False", "ImageNotFound", "")}, time.Hour, forever, "", ""},
		"not found, which may change":       {without, []metav1.Condition{fine, notFound(created.Add(-time.Hour))}, 59 * time.Second, 60 * time.Second, "", ""},
		"not found in time":                 {without, []metav1.Condition{fine, notFound(created.Add(-time.Hour))}, 60 * time.Second, 0, "ImagePullFailed", `"image":"registry.example/ocr:1","message":"no such image","reason":"ImageNotFound"`},
		"not found after long in line":      {without, []metav1.Condition{fine, notFound(created.Add(time.Hour))}, time.Hour + 59*time.Second, time.Hour + 60*time.Second, "", ""},
		"nor in time after that":            {without, []metav1.Condition{fine, notFound(created.Add(time.Hour))}, time.Hour + 60*time.Second, 0, "ImagePullFailed", "no such image"},
		"not resolved, but has a command":   {withCommand, []metav1.Condition{fine, notFound(created)}, 0, 0, "", ""},
		"neither accepted nor resolved yet": {without, []metav1.Condition{said(accepted, 2, "False", "PolicyViolation", "no")}, 0, 0, "TypeNotAccepted", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(created)}}
			pt := &v1alpha1.ProcessType{
				ObjectMeta: metav1.ObjectMeta{Name: "ocr", Generation: 2},
				Spec:       v1alpha1.ProcessTypeSpec{Image: "registry.example/ocr:1", Command: test.command, StartTimeoutSeconds: 60},
				Status:     v1alpha1.ProcessTypeStatus{Conditions: test.conditions},
			}
			got := readinessOf(p, pt, created.Add(test.after))
			var until time.Time
			if test.waits > 0 {
				until = created.Add(test.waits)
			}
			if got.waits != (test.waits != 0) || !got.until.Equal(until) {
				t.Errorf("it waits: %t, until %s", got.waits, got.until)
			}
			switch {
			case test.code == "" && got.refusal != nil:
				t.Errorf("it is refused: %+v", got.refusal)
			case test.code != "" && (got.refusal == nil || got.refusal.ErrorCode != test.code || !strings.Contains(got.refusal.ErrorDetails, test.says)):
				t.Errorf("the refusal is %+v, want %s with %q", got.refusal, test.code, test.says)
			}
		})
	}
}
