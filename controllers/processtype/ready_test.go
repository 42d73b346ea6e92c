// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

func TestReady(t *testing.T) {
	condition := func(name string, generation int64, status metav1.ConditionStatus, message string) metav1.Condition {
		return metav1.Condition{Type: name, ObservedGeneration: generation, Status: status, Reason: "Any", Message: message}
	}
	const accepted, resolved = v1alpha1.ConditionAccepted, v1alpha1.ConditionImageResolved
	command := []string{"/worker"}
	for name, test := range map[string]struct {
		command    []string
		conditions []metav1.Condition
		status     metav1.ConditionStatus // empty: no condition
		reason     string
		message    string
	}{
		"nothing checked yet":              {command, nil, "", "", ""},
		"checked before the last change":   {command, []metav1.Condition{condition(accepted, 1, "True", "")}, "", "", ""},
		"accepted, with a command":         {command, []metav1.Condition{condition(accepted, 2, "True", "")}, "True", "Ready", "processes of this type can be started"},
		"not accepted":                     {command, []metav1.Condition{condition(accepted, 2, "False", "bad schema")}, "False", "NotAccepted", "bad schema"},
		"not accepted, but resolved":       {nil, []metav1.Condition{condition(accepted, 2, "False", "bad schema"), condition(resolved, 2, "True", "")}, "False", "NotAccepted", "bad schema"},
		"the image was not asked for yet":  {nil, []metav1.Condition{condition(accepted, 2, "True", "")}, "Unknown", "ImagePending", "the operator is asking the registry what the image runs"},
		"the earlier image is resolved":    {nil, []metav1.Condition{condition(accepted, 2, "True", ""), condition(resolved, 1, "True", "")}, "Unknown", "ImagePending", "the operator is asking the registry what the image runs"},
		"the image is not resolved":        {nil, []metav1.Condition{condition(accepted, 2, "True", ""), condition(resolved, 2, "False", "no such image")}, "False", "ImageNotResolved", "no such image"},
		"accepted and resolved":            {nil, []metav1.Condition{condition(accepted, 2, "True", ""), condition(resolved, 2, "True", "")}, "True", "Ready", "processes of this type can be started"},
		"resolved, and not checked itself": {nil, []metav1.Condition{condition(resolved, 2, "True", "")}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			pt := &v1alpha1.ProcessType{
				ObjectMeta: metav1.ObjectMeta{Name: "t", Generation: 2},
				Spec:       v1alpha1.ProcessTypeSpec{Command: test.command},
				Status:     v1alpha1.ProcessTypeStatus{Conditions: test.conditions},
			}
			setReady(pt)
			got := meta.FindStatusCondition(pt.Status.Conditions, v1alpha1.ConditionReady)
			if got == nil {
				got = &metav1.Condition{ObservedGeneration: 2}
			}
			if got.Status != test.status || got.Reason != test.reason || got.Message != test.message || got.ObservedGeneration != 2 {
				t.Errorf("got %+v, want %s %s: %s", got, test.status, test.reason, test.message)
			}
		})
	}
}
