package apiserver

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
)

// timeFormat is RFC 3339 in UTC with exactly three decimals.
const timeFormat = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// accepted is the body of the answer to a POST: the process as it was when it
// was accepted.
func accepted(p *v1alpha1.Process) []byte {
	w := wire{}
	w.process(p, v1alpha1.StateProcessing, true)
	return w.end()
}

// body is the body of the answer to a GET. WithInput is false when the input is
// not known to be a JSON object, which only kubectl can bring about; then it is
// left out.
//
// Payloads are put in byte for byte: their numbers, the order of their keys and
// even their white space are the client's and the worker's.
func body(p *v1alpha1.Process, withInput bool) []byte {
	w := wire{}
	status := &p.Status
	switch status.State {
	case v1alpha1.StateComplete:
		w.process(p, status.State, withInput)
		w.progress(status.PercentComplete)
		w.raw("output", status.Output)
	case v1alpha1.StateError:
		w.process(p, status.State, withInput)
		w.progress(status.PercentComplete)
		w.text("errorCode", status.ErrorCode)
		if status.ErrorDetails != "" {
			w.raw("errorDetails", status.ErrorDetails)
		}
	default:
		w.process(p, v1alpha1.StateProcessing, withInput)
		w.progress(status.PercentComplete)
	}
	return w.end()
}

// errorBody is the body of every answer that is an error.
func errorBody(f *failure) []byte {
	w := wire{}
	w.text("errorCode", f.errorCode)
	if f.details.In != "" || f.details.At != "" || f.details.Expected != nil {
		w.raw("errorDetails", string(detailsJSON(f.details)))
	}
	return w.end()
}

func detailsJSON(d schema.Details) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return []byte("{}") // not reached: details are strings and sound JSON
	}
	return bytes.TrimSpace(b.Bytes())
}

// wire writes one JSON object, member by member.
type wire struct {
	b bytes.Buffer
}

func (w *wire) process(p *v1alpha1.Process, state v1alpha1.State, withInput bool) {
	w.text("processId", p.Name)
	w.text("state", string(state))
	w.text("expirationDateTime", formatTime(p.ExpirationTime()))
	if withInput {
		w.raw("input", inputOf(p))
	}
}

func inputOf(p *v1alpha1.Process) string {
	if p.Spec.Input == "" {
		return "{}"
	}
	return p.Spec.Input
}

func (w *wire) progress(percent *int32) {
	if percent != nil {
		w.raw("percentComplete", strconv.Itoa(int(*percent)))
	}
}

// raw adds a member whose value is JSON already.
func (w *wire) raw(name, value string) {
	if w.b.Len() == 0 {
		w.b.Grow(len(value) + 256)
		w.b.WriteByte('{')
	} else {
		w.b.WriteByte(',')
	}
	w.b.WriteByte('"')
	w.b.WriteString(name)
	w.b.WriteString(`":`)
	w.b.WriteString(value)
}

// text adds a member whose value is one of our own words, times or ids, which
// need no escaping.
func (w *wire) text(name, value string) { w.raw(name, `"`+value+`"`) }

func (w *wire) end() []byte {
	w.b.WriteByte('}')
	return w.b.Bytes()
}
