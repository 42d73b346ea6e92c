// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"strings"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/schema"
	"procman.dev/procman/internal/wire"
)

const jsonType = "application/json"

// reply writes a whole response. An error of the write means that the client is gone;
// nobody is left to get it.
func reply(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", jsonType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// replyWith writes a whole response with a body that is not open yet. It opens the body,
// except for HEAD, which needs only its size.
func (s *Server) replyWith(w http.ResponseWriter, r *request, body *processes.Body) error {
	if r.Method != http.MethodHead {
		if err := body.Open(r.Context()); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Content-Type", jsonType)
	h.Set("Content-Length", strconv.FormatInt(body.Bytes(), 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	extendWriteDeadline(w, body.Bytes())
	return send(r.Context(), w, body)
}

// send writes a body that is open. The error is errClientGone, or that of the store.
func send(ctx context.Context, w io.Writer, body *processes.Body) error {
	err := body.Send(ctx, w)
	if _, ok := errors.AsType[*processes.StoreError](err); ok || err == nil {
		return err
	}
	return fmt.Errorf("%w: %w", errClientGone, err)
}

// replyWithoutBody writes a whole response that has no body.
func replyWithoutBody(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", jsonType) // clients of this API check it on every status
	w.WriteHeader(status)
}

// problemBody returns the body of an error response.
func problemBody(p *problem) []byte {
	body := struct {
		ErrorCode    string          `json:"errorCode"`
		ErrorDetails *schema.Details `json:"errorDetails,omitempty"`
	}{ErrorCode: p.errorCode}
	if d := p.details; d.In != "" || d.At != "" || d.Expected != nil || d.Message != "" {
		body.ErrorDetails = &d
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		panic(fmt.Sprintf("encode error details: %v", err)) // they are strings and valid JSON
	}
	return bytes.TrimSpace(b.Bytes())
}

// setProcessHeaders sets the headers of a response that shows p at a position in the queue.
func setProcessHeaders(h http.Header, p *v1alpha1.Process, position int, show wire.Payloads) {
	h.Set("ETag", `"`+version(p, position, show)+`"`)
	h.Del("Retry-After")
	if !p.Finished() {
		h.Set("Retry-After", "1")
	}
}

// version identifies the body that shows these payloads of p at a position in the queue: it
// is its strong validator. The spec never changes, and the output or the error comes
// together with the state and never changes afterwards. So the UID, the state, the start,
// the position and the progress identify a body.
func version(p *v1alpha1.Process, position int, show wire.Payloads) string {
	h := fnv.New64a()
	percent := int32(-1)
	if p.Status.PercentComplete != nil {
		percent = *p.Status.PercentComplete
	}
	_, _ = fmt.Fprintf(h, "%s %s %d %d %d %v", p.UID, wire.State(p), position, percent, p.Status.StartTime.Unix(), show) // a hash returns no error
	return fmt.Sprintf("%016x", h.Sum64())
}

// matchesETag reports whether If-None-Match contains an ETag (RFC 9110, section 13.1.2).
func matchesETag(h http.Header, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(h.Values("If-None-Match"), ","), ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
