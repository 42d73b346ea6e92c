// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wire writes processes as the JSON that clients get (docs/contract.md,
// section 1).
//
// Payloads are copied byte for byte: their numbers, the order of their keys and
// their white space are those of the client and of the worker.
package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// Payloads selects the payloads of a process to show.
type Payloads struct {
	Input, Output bool
}

// All selects all payloads.
var All = Payloads{Input: true, Output: true}

// timeFormat is RFC 3339 in UTC with exactly three decimals.
const timeFormat = "2006-01-02T15:04:05.000Z"

// State returns the state of p. A Process without one is processing, which is the
// default of the API server.
func State(p *v1alpha1.Process) v1alpha1.State {
	return cmp.Or(p.Status.State, v1alpha1.StateProcessing)
}

// Part is a part of a JSON text: a text, or else a payload in the store.
type Part struct {
	Text   []byte
	Stored v1alpha1.StoredPayload
}

// Accepted returns the body of the answer to a POST that created p: the process as
// it was when it was accepted.
func Accepted(p *v1alpha1.Process, input []byte) []Part {
	o := begin(p, v1alpha1.StateProcessing)
	o.labels(p.Spec.Labels)
	o.payload("input", Part{Text: input})
	return o.end()
}

// Process returns p as GET shows it. The payloads to show must be in p or in the store;
// each is a JSON object, or absent. queuePosition is the position of p in the queue, from
// 1; 0 if p does not wait.
func Process(p *v1alpha1.Process, show Payloads, queuePosition int) []Part {
	o := begin(p, State(p))
	o.time("startedDateTime", p.Status.StartTime.Time)
	o.time("finishedDateTime", p.Status.CompletionTime.Time)
	o.labels(p.Spec.Labels)
	if show.Input {
		o.payload("input", Part{[]byte(cmp.Or(p.Spec.Input, "{}")), p.Spec.StoredInput})
	}
	if queuePosition > 0 {
		o.raw("queuePosition", strconv.Itoa(queuePosition))
	}
	if percent := p.Status.PercentComplete; percent != nil {
		o.raw("percentComplete", strconv.Itoa(int(*percent)))
	}
	switch State(p) {
	case v1alpha1.StateComplete:
		if show.Output {
			o.payload("output", Part{[]byte(p.Status.Output), p.Status.StoredOutput})
		}
	case v1alpha1.StateError:
		o.text("errorCode", p.Status.ErrorCode)
		if p.Status.ErrorDetails != "" {
			o.raw("errorDetails", p.Status.ErrorDetails)
		}
	case v1alpha1.StateProcessing: // has neither
	}
	return o.end()
}

// object is a JSON object that is written member by member.
type object struct {
	parts []Part       // what is complete
	b     bytes.Buffer // what follows
}

// begin starts the object of p.
func begin(p *v1alpha1.Process, state v1alpha1.State) *object {
	o := &object{}
	o.b.Grow(512) // enough for a process without payloads
	o.text("processId", p.Name)
	o.text("state", string(state))
	o.time("expirationDateTime", p.ExpirationTime())
	o.time("createdDateTime", p.CreationTimestamp.Time)
	return o
}

// payload adds a payload. It does not copy a large one.
func (o *object) payload(name string, value Part) {
	const small = 16 << 10
	o.name(name)
	if value.Stored.IsZero() && len(value.Text) <= small {
		o.b.Write(value.Text)
		return
	}
	if !value.Stored.IsZero() {
		value.Text = nil
	}
	o.parts = append(o.parts, Part{Text: o.b.Bytes()}, value)
	o.b = bytes.Buffer{}
}

// raw adds a member whose value is JSON.
func (o *object) raw(name, value string) {
	o.name(name)
	o.b.WriteString(value)
}

// text adds a member whose value is a string that needs no escapes: a state, a time,
// an id or an errorCode.
func (o *object) text(name, value string) {
	o.name(name)
	o.b.WriteByte('"')
	o.b.WriteString(value)
	o.b.WriteByte('"')
}

// time adds a time, unless it is zero.
func (o *object) time(name string, t time.Time) {
	if !t.IsZero() {
		o.text(name, t.UTC().Format(timeFormat))
	}
}

// labels adds the labels, sorted by name, if there are any.
func (o *object) labels(labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	o.name("labels")
	encoder := json.NewEncoder(&o.b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(labels) // strings can be encoded
	o.b.Truncate(o.b.Len() - len("\n"))
}

func (o *object) name(name string) {
	separator := byte(',')
	if o.b.Len() == 0 && len(o.parts) == 0 {
		separator = '{'
	}
	o.b.WriteByte(separator)
	o.b.WriteByte('"')
	o.b.WriteString(name)
	o.b.WriteString(`":`)
}

func (o *object) end() []Part {
	o.b.WriteByte('}')
	return append(o.parts, Part{Text: o.b.Bytes()})
}
