// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/controllers/internal/truncate"
	"procman.dev/procman/internal/errorcode"
)

// maxEventText bounds how much of an event's message a result contains, in bytes.
const maxEventText = 1024

// eventSummary is what the events of a Job or pod show.
type eventSummary struct {
	// podCreated is when the Job created its newest pod; zero if there was none.
	podCreated time.Time
	// firstWarning is the time of the first warning since then; zero if there was none.
	firstWarning time.Time
	// lastWarning is the message of the last one.
	lastWarning string
}

// AddEvents adds the events of the object that Decision.EventsOf names.
func (o *Observation) AddEvents(events []corev1.Event) {
	s := &eventSummary{}
	for _, e := range events {
		if e.Type != corev1.EventTypeWarning && e.Reason == "SuccessfulCreate" {
			s.podCreated = later(s.podCreated, eventTime(&e))
		}
	}
	var newest time.Time
	for _, e := range events {
		at := eventTime(&e)
		if e.Type != corev1.EventTypeWarning || at.Before(s.podCreated) {
			continue
		}
		if s.firstWarning.IsZero() || at.Before(s.firstWarning) {
			s.firstWarning = at
		}
		if !at.Before(newest) {
			newest, s.lastWarning = at, e.Message
		}
	}
	o.events = s
}

// eventTime returns when an event happened last. Which of its fields are set depends on
// the client that wrote it.
func eventTime(e *corev1.Event) time.Time {
	return later(later(e.CreationTimestamp.Time, e.EventTime.Time), e.LastTimestamp.Time)
}

// failStartTimeout ends the process with StartTimeout. The cause is in the events of an
// object: it requests them, or adds the last warning to the message.
func (o *Observation) failStartTimeout(message string, object types.UID) *Decision {
	switch {
	case o.events == nil:
		d := fail(errorcode.StartTimeout, message, nil)
		d.EventsOf = object
		return d
	case o.events.lastWarning != "":
		message += ": " + truncate.Bytes(o.events.lastWarning, maxEventText)
	}
	return fail(errorcode.StartTimeout, message, nil)
}
