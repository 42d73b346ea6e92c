// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package processstatus builds the terminal status of a Process from the result of an
// attempt. It is pure: the operator and the author's kit both use it.
package processstatus

import (
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// Terminal returns the status of a Process that ends with a result at the time now. The
// start time that p has already does not change. t is the type, or nil if it was
// deleted. jobName is the Job that ran the worker, or "" if there was none.
func Terminal(p *v1alpha1.Process, t *v1alpha1.ProcessType, r agentapi.Result, jobName string, now time.Time) v1alpha1.ProcessStatus {
	s := v1alpha1.ProcessStatus{
		State:           v1alpha1.StateComplete,
		Output:          r.Output,
		PercentComplete: p.Status.PercentComplete,
		StartTime:       p.Status.StartTime,
		CompletionTime:  metav1.NewTime(now),
		ExpirationTime:  metav1.NewTime(p.ExpirationTime()),
		JobName:         jobName,
	}
	finished := metav1.Condition{
		Type:               v1alpha1.ConditionFinished,
		Status:             metav1.ConditionTrue,
		Reason:             "Complete",
		Message:            "the worker delivered its output",
		LastTransitionTime: metav1.NewTime(now),
	}
	if !r.Complete() {
		s.State, s.Output = v1alpha1.StateError, ""
		s.ErrorCode, s.ErrorDetails = r.ErrorCode, r.ErrorDetails
		if r.Retry {
			s.ErrorDetails, s.Stderr = crash(r, t != nil && t.Spec.Stderr == v1alpha1.StderrShown)
		}
		s.ErrorDetails = shorten(s.ErrorDetails)
		finished.Reason, finished.Message = r.ErrorCode, message(s.ErrorDetails)
	}
	if r.PercentComplete != nil {
		s.PercentComplete = r.PercentComplete
	}
	if s.StartTime.IsZero() && !r.StartTime.IsZero() {
		s.StartTime = metav1.NewTime(r.StartTime)
	}
	if r.Attempt > 0 {
		s.Attempts = new(r.Attempt)
	}
	s.Conditions = []metav1.Condition{finished}
	return s
}

// maxStderrBytes bounds stderr in the status.
const maxStderrBytes = 4096

// crash returns the details of a worker that crashed, and its standard error. It adds
// the number of attempts to the details (docs/contract.md, section 2, WorkerFailed), and
// removes standard error from them if clients must not get it.
func crash(r agentapi.Result, shown bool) (text, stderr string) {
	details := map[string]any{}
	if json.Unmarshal([]byte(r.ErrorDetails), &details) != nil {
		return r.ErrorDetails, ""
	}
	if r.Attempt > 0 {
		details["attempts"] = r.Attempt
	}
	stderr, _ = details["stderr"].(string)
	stderr = strings.ToValidUTF8(stderr[max(0, len(stderr)-maxStderrBytes):], "") // without a character that was cut
	if !shown {
		delete(details, "stderr")
	}
	encoded, _ := json.Marshal(details) // it was decoded from JSON, so it can be encoded
	return string(encoded), stderr
}

// shorten removes the member expected, which can be as long as the schema, from
// details that are too long for the status.
func shorten(details string) string {
	if len(details) <= agentapi.MaxErrorDetailsBytes {
		return details
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(details), &members) != nil {
		return ""
	}
	delete(members, "expected")
	text, err := json.Marshal(members)
	if err != nil || len(text) > agentapi.MaxErrorDetailsBytes {
		return ""
	}
	return string(text)
}

// maxMessageBytes bounds the message of the condition.
const maxMessageBytes = 1024

// message returns the details as a sentence for people, for the condition.
func message(details string) string {
	explanation := errorcode.Explain(details)
	if explanation == "" {
		return "the worker ended the process with an error of its own; see status.errorDetails"
	}
	explanation = explanation[:min(len(explanation), maxMessageBytes)]
	return strings.ToValidUTF8(explanation, "") // without a character that was cut
}
