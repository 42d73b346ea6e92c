// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/dunglas/httpsfv"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/rules"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/strictjson"
	"procman.dev/procman/internal/wire"
)

// createProcess serves POST of /v1/processes/{type}: it validates the input against the
// type, creates the Process, and answers when the Process is durable.
func (s *Server) createProcess(w http.ResponseWriter, r *request) error {
	t, err := s.catalog.Usable(r.namespace, r.typeName)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	labels, err := labelsOf(r.Header)
	if err != nil {
		return err
	}
	body, memory, err := s.readBody(w, r.Request, t.MaxInputBytes())
	if err != nil {
		return err
	}
	defer memory.Release()
	input, refusal, err := s.parseInput(r.Context(), body, t.Rules)
	if err != nil {
		return err
	}
	sub := processes.Submission{Type: t.ProcessType, Input: input, Labels: labels, IdempotencyKey: key}
	var created *v1alpha1.Process
	switch {
	case refusal == nil:
		created, err = s.processes.Create(r.Context(), sub)
	case input == nil:
		return refusal
	default:
		// The type can have accepted this input before it was changed.
		if created, err = s.processes.Existing(r.Context(), sub); errors.Is(err, processes.ErrNotFound) {
			return refusal
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Location", "/v1/processes/"+t.Name+"/"+created.Name)
	if _, ok := preferredWait(r.Header); ok {
		memory.Release() // a wait is long
		return s.showAfterWait(w, r, created)
	}
	answer := s.processes.NewBody()
	for _, part := range wire.Accepted(created, input) {
		answer.Append(part.Text)
	}
	return s.replyWith(w, r, answer)
}

// parseInput is inputOf with the memory that it takes.
func (s *Server) parseInput(ctx context.Context, body []byte, r *rules.Rules) (input []byte, refusal, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parseWait) // the client may have closed its side
	defer cancel()
	memory, err := s.parseMemory.Acquire(ctx, r.ParseBytes(body))
	if err != nil {
		return nil, nil, tryAgain(err)
	}
	defer memory.Release()
	input, refusal = inputOf(body, r)
	return input, refusal, nil
}

// byteOrderMark can precede JSON and is ignored (RFC 8259, section 8.1).
var byteOrderMark = []byte("\ufeff")

// inputOf returns the input in a request's body, byte for byte as it was sent, and the
// problem with it. It also returns an input that only the type refuses.
func inputOf(body []byte, r *rules.Rules) (input []byte, refusal error) {
	text := bytes.TrimPrefix(body, byteOrderMark)
	root, err := r.Parse(text)
	if err != nil {
		details := schema.Details{In: "body", Message: err.Error()}
		if e, ok := errors.AsType[*strictjson.Error](err); ok {
			details.At, details.Message = e.At, cmp.Or(e.At, "the body")+" "+e.Reason
			details.Offset = new(e.Offset + int64(len(body)-len(text)))
		}
		return nil, invalidInput.at(details)
	}
	value, ok := root.Member("input")
	if !ok {
		return nil, missingInput.at(schema.Details{In: "body", At: "input"})
	}
	for name := range root.Members() { // the first mistake in the document is reported
		if name != "input" {
			return nil, unrecognizedInput.at(schema.Details{In: "body", At: strictjson.Key("", name)})
		}
		if err := r.CheckParsedInput(value); err != nil {
			return value.Raw(), err
		}
	}
	return value.Raw(), nil
}

const keyHeader = "Idempotency-Key"

// keyPattern matches an idempotency key: 1 to 255 printable ASCII characters.
// keyExpected describes it to clients.
var keyPattern = regexp.MustCompile(`^[ -~]{1,255}$`)

const keyExpected = `{"type":"string","minLength":1,"maxLength":255,"pattern":"^[ -~]+$"}`

// idempotencyKey returns the key of a request, "" if it has none. The header is a string
// of RFC 9651, as in the draft of the IETF, or the bare key.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values(keyHeader)
	if len(values) == 0 {
		return "", nil
	}
	key, ok := strings.TrimSpace(values[0]), len(values) == 1
	if strings.HasPrefix(key, `"`) {
		item, err := httpsfv.UnmarshalItem(values)
		key, ok = item.Value.(string)
		ok = ok && err == nil && len(item.Params.Names()) == 0
	}
	if !ok || !keyPattern.MatchString(key) {
		return "", invalidInput.at(schema.Details{In: "header", At: keyHeader, Expected: json.RawMessage(keyExpected)})
	}
	return key, nil
}
