package process

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

func TestReady(t *testing.T) {
	created := time.Unix(1e9, 0)
	bound := created.Add(60 * time.Second)
	said := func(condition string, generation int64, status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: condition, ObservedGeneration: generation, Status: status, Reason: reason, Message: message}
	}
	const accepted, resolved = v1alpha1.ConditionAccepted, v1alpha1.ConditionImageResolved
	fine := said(accepted, 2, "True", "Accepted", "")
	withCommand, without := []string{"/worker"}, []string(nil)
	for name, test := range map[string]struct {
		command    []string
		conditions []metav1.Condition
		after      time.Duration // since the process was created
		waits      bool
		code, says string // of the refusal
	}{
		"accepted":                          {withCommand, []metav1.Condition{fine}, 0, false, "", ""},
		"accepted, not by every alias":      {withCommand, []metav1.Condition{said(accepted, 2, "True", "AliasTaken", "")}, 0, false, "", ""},
		"accepted, and launched late":       {withCommand, []metav1.Condition{fine}, time.Hour, false, "", ""},
		"not accepted":                      {withCommand, []metav1.Condition{said(accepted, 2, "False", "InvalidSchema", "spec.inputSchema: no")}, 0, false, "TypeNotAccepted", `"message":"process type ocr is not accepted: spec.inputSchema: no","reason":"InvalidSchema"`},
		"not looked at":                     {withCommand, nil, 0, true, "", ""},
		"not looked at as it is":            {withCommand, []metav1.Condition{said(accepted, 1, "False", "InvalidSchema", "")}, 59 * time.Second, true, "", ""},
		"never looked at":                   {withCommand, nil, 60 * time.Second, false, "TypeNotAccepted", "did not get to look at process type ocr"},
		"resolved":                          {without, []metav1.Condition{fine, said(resolved, 2, "True", "Resolved", "")}, time.Hour, false, "", ""},
		"not resolved yet":                  {without, []metav1.Condition{fine}, 0, true, "", ""},
		"an earlier image resolved":         {without, []metav1.Condition{fine, said(resolved, 1, "True", "Resolved", "")}, 0, true, "", ""},
		"not found, which may change":       {without, []metav1.Condition{fine, said(resolved, 2, "False", "ImageNotFound", "no such image")}, 59 * time.Second, true, "", ""},
		"not found in time":                 {without, []metav1.Condition{fine, said(resolved, 2, "False", "ImageNotFound", "no such image")}, 60 * time.Second, false, "ImagePullFailed", "no such image"},
		"no answer in time":                 {without, []metav1.Condition{fine}, 60 * time.Second, false, "ImagePullFailed", "the registry of registry.example/ocr:1 did not answer"},
		"not resolved, but has a command":   {withCommand, []metav1.Condition{fine, said(resolved, 2, "False", "ImageNotFound", "")}, 0, false, "", ""},
		"neither accepted nor resolved yet": {without, []metav1.Condition{said(accepted, 2, "False", "PolicyViolation", "no")}, 0, false, "TypeNotAccepted", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(created)}}
			pt := &v1alpha1.ProcessType{
				ObjectMeta: metav1.ObjectMeta{Name: "ocr", Generation: 2},
				Spec:       v1alpha1.ProcessTypeSpec{Image: "registry.example/ocr:1", Command: test.command, StartTimeoutSeconds: 60},
				Status:     v1alpha1.ProcessTypeStatus{Conditions: test.conditions},
			}
			got := ready(p, pt, created.Add(test.after))
			if test.waits != got.until.Equal(bound) || !test.waits && !got.until.IsZero() {
				t.Errorf("it waits until %s", got.until)
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
