// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// readiness is what the state of a type means for a Process without a Job. The zero
// value means that the Process can be launched.
type readiness struct {
	// refusal is the result of a Process that cannot be launched.
	refusal *agentapi.Result
	// waits is true if the Process has to wait for a change of the type. If until is not
	// zero, the Process waits no longer than until then.
	waits bool
	until time.Time
}

// readinessOf reports whether a Process can be launched with the current state of its
// type.
//
// The Process waits until the operator has written the conditions of the type, which
// takes seconds. If the image cannot be resolved, the Process waits for
// startTimeoutSeconds. That time starts when the Process is created, or when the
// condition ImageResolved becomes False if that is later.
func readinessOf(p *v1alpha1.Process, t *v1alpha1.ProcessType, now time.Time) readiness {
	accepted := t.Verdict(v1alpha1.ConditionAccepted)
	switch {
	case accepted == nil:
		return readiness{waits: true}
	case accepted.Status != metav1.ConditionTrue:
		return readiness{refusal: new(notAccepted(t, accepted.Reason, accepted.Message))}
	case len(t.Spec.Command) > 0:
		return readiness{}
	}
	resolved := t.Verdict(v1alpha1.ConditionImageResolved)
	switch {
	case resolved == nil:
		return readiness{waits: true}
	case resolved.Status == metav1.ConditionTrue:
		return readiness{}
	}
	since := p.CreationTimestamp.Time
	if failed := resolved.LastTransitionTime.Time; failed.After(since) {
		since = failed
	}
	until := since.Add(time.Duration(t.Spec.StartTimeoutSeconds) * time.Second)
	if now.Before(until) {
		return readiness{waits: true, until: until}
	}
	return readiness{refusal: new(agentapi.Failure(errorcode.ImagePullFailed, map[string]any{
		"image": t.Spec.Image, "reason": resolved.Reason, "message": resolved.Message,
	}))}
}

// notAccepted is the result of a Process whose type is not accepted.
func notAccepted(t *v1alpha1.ProcessType, reason, message string) agentapi.Result {
	return agentapi.Failure(errorcode.TypeNotAccepted, map[string]any{
		"reason": reason, "message": "process type " + t.Name + " is not accepted: " + message,
	})
}
