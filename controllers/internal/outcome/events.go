package outcome

import (
	"encoding/json"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/controllers/internal/prose"
	"procman.dev/procman/internal/agentapi"
)

// Explained is a decision on a Job whose Explain is set, in the light of that
// object's events: the newest warning is added to the result's message. Where
// the Job's pod has only just gone, or been refused, it is to wait instead.
func Explained(job *batchv1.Job, d Decision, events []corev1.Event, now time.Time) Decision {
	var made, refused, newest time.Time // the last pod, the first refusal after it
	message := ""
	for _, e := range events {
		if e.Type != corev1.EventTypeWarning && eventTime(&e).After(made) && e.Reason == "SuccessfulCreate" {
			made = eventTime(&e)
		}
	}
	for _, e := range events {
		at := eventTime(&e)
		if e.Type != corev1.EventTypeWarning || at.Before(made) {
			continue
		}
		if refused.IsZero() || at.Before(refused) {
			refused = at
		}
		if !at.Before(newest) {
			newest, message = at, e.Message
		}
	}
	if d.provisional && !made.IsZero() {
		if refused.IsZero() {
			return withinAll(job, nil, now, Decision{RecheckAt: now.Add(settleTime)})
		}
		if bound := refused.Add(startTimeout(job)); now.Before(bound) {
			return withinAll(job, nil, now, Decision{RecheckAt: bound})
		}
	}
	explained := withMessage(*d.Result, message)
	return Decision{Result: &explained}
}

// eventTime is when an event was last seen, whichever of its APIs it came by.
func eventTime(e *corev1.Event) time.Time {
	last := e.CreationTimestamp.Time
	if e.EventTime.After(last) {
		last = e.EventTime.Time
	}
	if e.LastTimestamp.After(last) {
		last = e.LastTimestamp.Time
	}
	return last
}

// withMessage is a result with more in its message.
func withMessage(r agentapi.Result, more string) agentapi.Result {
	details := map[string]any{}
	if more == "" || json.Unmarshal([]byte(r.ErrorDetails), &details) != nil {
		return r
	}
	message, _ := details["message"].(string)
	details["message"] = message + ": " + prose.Cut(more, 1024)
	longer := agentapi.Failure(r.ErrorCode, details)
	longer.Attempt, longer.StartTime = r.Attempt, r.StartTime
	return longer
}
