// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outcome decides, from the Job and the pods of a process, whether the
// process has ended and with which result, or when to look again. It is pure: it
// has no client and no clock.
//
// Observe gathers the facts. Rules lists what follows from them, in order: the
// first rule that applies decides. The rules are for all cases in which the agent did
// not deliver a result over HTTP. docs/process.md explains the same list to users.
package outcome

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/internal/agentapi"
)

// Decision is one of three: end the process with Result, mark the pod of Fail as
// failed, or wait until RecheckAt.
type Decision struct {
	// Rule is the name of the rule that decided.
	Rule string
	// Result ends the process.
	Result *agentapi.Result
	// EventsOf is the UID of the object whose events can explain Result, or show that it
	// is too early for a result. Call AddEvents with these events and decide again. It is
	// empty when no events are needed.
	EventsOf types.UID
	// Fail is a pod that has to be marked as failed, so that its Job continues.
	Fail *PodFailure
	// RecheckAt is when to decide again even if no object has changed. A decision to
	// wait always has it, except while the Job is suspended.
	RecheckAt time.Time
}

// PodFailure is what to write into the status of a pod that is marked as failed: Reason
// is ReasonNodeLost or ReasonWorkerEnded, Message is for people.
type PodFailure struct {
	Pod             *corev1.Pod
	Reason, Message string
}

// Decide returns the decision of the first rule that applies. It replaces a wait by
// an overdue rule once the overall bound has passed.
func (o *Observation) Decide() Decision {
	d := first(Rules, o)
	// Nothing limits how long a Job is suspended, except the lifetime of the process.
	if d.Result == nil && d.Fail == nil && !o.Suspended {
		if bound := o.overallBound(); !o.Now.Before(bound) {
			d = first(OverdueRules, o)
		} else if d.RecheckAt.IsZero() || d.RecheckAt.After(bound) {
			d.RecheckAt = bound
		}
	}
	if d.Result != nil && d.Result.Attempt == 0 && o.workerStarted() {
		d.Result.Attempt = o.number()
	}
	return d
}

// first returns the decision of the first rule that applies.
func first(rules []Rule, o *Observation) Decision {
	for _, rule := range rules {
		if !rule.When(o) {
			continue
		}
		if d := rule.Decide(o); d != nil {
			d.Rule = rule.Name
			return *d
		}
	}
	return Decision{} // not reached: the last rule of each list always applies
}

// waitForChange waits until an object changes, or the overall bound has passed.
func waitForChange(*Observation) *Decision { return &Decision{} }

// waitUntil returns a decision to wait until t, or nil when t has passed.
func (o *Observation) waitUntil(t time.Time) *Decision {
	if o.Now.Before(t) {
		return &Decision{RecheckAt: t}
	}
	return nil
}

// fail ends the process. The message is for people: what happened, and what to do.
func fail(code, message string, details map[string]any) *Decision {
	if details == nil {
		details = map[string]any{}
	}
	details["message"] = message
	return &Decision{Result: new(agentapi.Failure(code, details))}
}
