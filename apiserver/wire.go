package apiserver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/schema"
)

// timeFormat is RFC 3339 in UTC with exactly three decimals.
const timeFormat = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// payloads says which of a process's payloads are shown. The input is left out
// where it is not known to be a JSON object, which only kubectl can bring about.
type payloads struct {
	input, output bool
}

// accepted is the body of the answer to a POST with an input: the process as it
// was when it was accepted.
func accepted(p *v1alpha1.Process, input string) []byte {
	w := wire{}
	w.process(p, v1alpha1.StateProcessing)
	w.raw("input", input)
	return w.end()
}

// body is a process as GET shows it.
//
// Payloads are put in byte for byte: their numbers, the order of their keys and
// even their white space are the client's and the worker's.
func body(p *v1alpha1.Process, show payloads) []byte {
	w := wire{}
	w.process(p, stateOf(p))
	if show.input {
		w.raw("input", inputOf(p))
	}
	w.progress(p.Status.PercentComplete)
	switch stateOf(p) {
	case v1alpha1.StateComplete:
		if show.output {
			w.raw("output", p.Status.Output)
		}
	case v1alpha1.StateError:
		w.text("errorCode", p.Status.ErrorCode)
		if p.Status.ErrorDetails != "" {
			w.raw("errorDetails", p.Status.ErrorDetails)
		}
	case v1alpha1.StateProcessing: // has neither
	}
	return w.end()
}

// Resource is the body that a GET of p is answered with, for those who show what
// would become of a process without a cluster. p's input is one JSON object.
func Resource(p *v1alpha1.Process) []byte { return body(p, payloads{input: true, output: true}) }

// stateOf is the state of p, which the API server's default gives to every
// Process that says none.
func stateOf(p *v1alpha1.Process) v1alpha1.State {
	return cmp.Or(p.Status.State, v1alpha1.StateProcessing)
}

// etag is the strong validator of what GET shows of p. Its input and its expiry
// never change, its output and its error come with the state and never change
// after that: so which process it is, its state and its progress say it all.
func etag(p *v1alpha1.Process) string {
	h := fnv.New64a()
	percent := int32(-1)
	if p.Status.PercentComplete != nil {
		percent = *p.Status.PercentComplete
	}
	_, _ = fmt.Fprintf(h, "%s %s %d", p.UID, stateOf(p), percent) // a hash takes everything
	return fmt.Sprintf(`"%016x"`, h.Sum64())
}

// unchanged says whether the client has what an ETag stands for already
// (RFC 9110, section 13.1.2).
func unchanged(h http.Header, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(h.Values("If-None-Match"), ","), ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
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

func (w *wire) process(p *v1alpha1.Process, state v1alpha1.State) {
	w.text("processId", p.Name)
	w.text("state", string(state))
	w.text("expirationDateTime", formatTime(p.ExpirationTime()))
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
