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

// readiness is what the state of a type means for a Process that is to be
// launched. The zero value: it can be launched.
type readiness struct {
	// refusal is the result of a Process that cannot be launched.
	refusal *agentapi.Result
	// waits: the Process waits for a change of the type, but not longer than until,
	// if that is set.
	waits bool
	until time.Time
}

// readinessOf reports whether a Process can be launched with its type as it is.
//
// The Process waits until the operator has looked at the type, which takes seconds.
// If the registry does not have the image, the Process waits for
// startTimeoutSeconds: after its creation, or after the condition ImageResolved
// became False if that was later, as a Process can wait in the queue for long.
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
