// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// setReady sets the condition Ready of a type as it follows from the other two. It
// changes nothing as long as the operator has not written Accepted for this
// generation: the write of Accepted then includes Ready.
func setReady(t *v1alpha1.ProcessType) {
	accepted, resolved := t.Verdict(v1alpha1.ConditionAccepted), t.Verdict(v1alpha1.ConditionImageResolved)
	if accepted == nil {
		return
	}
	ready := metav1.Condition{
		Type: v1alpha1.ConditionReady, ObservedGeneration: t.Generation,
		Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady, Message: "processes of this type can be started",
	}
	switch {
	case accepted.Status != metav1.ConditionTrue:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, v1alpha1.ReasonNotAccepted, accepted.Message
	case len(t.Spec.Command) > 0:
	case resolved == nil:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionUnknown, v1alpha1.ReasonImagePending, "the operator is asking the registry what the image runs"
	case resolved.Status != metav1.ConditionTrue:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, v1alpha1.ReasonImageNotResolved, resolved.Message
	}
	meta.SetStatusCondition(&t.Status.Conditions, ready)
}
