// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/wire"
)

const (
	eventsType = "text/event-stream"
	// heartbeatInterval is how often a stream without events sends a comment.
	heartbeatInterval = 15 * time.Second
	// endID is the id of the last event of every stream.
	endID = "end"
)

// prefers reports whether a client accepts a media type and does not prefer JSON.
func prefers(h http.Header, mediaType string) bool {
	quality := map[string]float64{}
	for accepted := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		media, params, err := mime.ParseMediaType(accepted)
		if err != nil {
			continue
		}
		if q, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 32); err == nil {
			quality[media] = q
		}
	}
	for _, json := range []string{jsonType, "application/*", "*/*"} { // the most specific counts
		if q, ok := quality[json]; ok {
			return quality[mediaType] > 0 && quality[mediaType] >= q
		}
	}
	return quality[mediaType] > 0
}

// stream is a response of server-sent events.
type stream struct {
	w http.ResponseWriter
	// sent is the id of the newest event that the client has, and position the position in
	// the queue that it shows.
	sent     string
	position int
}

// streamProcess serves a process as server-sent events: its body at once, after each
// change, and when it is terminal. A new position in the queue alone is sent only with a
// heartbeat, so that a queue that moves fast does not cause many events. If the process
// expires or is deleted, the error that GET returns from then on is an event. The last
// event, of type end, has no data.
//
// The id of an event is the version of its body. A client that reconnects with the newest
// id gets no event again. After the end it gets 204, which stops an EventSource.
func (s *Server) streamProcess(w http.ResponseWriter, r *request, key processes.Key) error {
	events := &stream{w: w, sent: r.Header.Get("Last-Event-ID")}
	p, err := s.processes.Find(r.Context(), key)
	if events.sent == endID || err == nil && p.Finished() && events.sent == version(p, 0, r.query.Show) {
		replyWithoutBody(w, http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	end, ok := s.beginWait(w, r)
	if !ok {
		return busy(time.Second)
	}
	defer end()
	watch := s.processes.Watch(key)
	defer watch.Stop()
	w.Header().Set("Content-Type", eventsType)
	w.WriteHeader(http.StatusOK)
	if err := events.send(""); err != nil { // the first event can be a long time away
		return err
	}
	expiry := s.clock.NewTimer(p.ExpirationTime().Sub(s.clock.Now()))
	defer expiry.Stop()
	heartbeat := s.clock.NewTimer(heartbeatInterval)
	defer heartbeat.Stop()
	for {
		last, err := s.sendIfChanged(events, r, key)
		if last || err != nil {
			return err
		}
		select {
		case <-watch.Changed:
		case <-expiry.C():
		case <-heartbeat.C():
			heartbeat.Reset(heartbeatInterval)
			if err := events.send(":\n\n"); err != nil { // a comment, which clients ignore
				return err
			}
		case <-s.draining:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// sendIfChanged sends a process, unless the client has got this form already, and the end
// after a terminal form. Last is true if the stream ends.
func (s *Server) sendIfChanged(events *stream, r *request, key processes.Key) (last bool, err error) {
	p, err := s.processes.Find(r.Context(), key)
	switch {
	case r.Context().Err() != nil:
		return true, nil
	case err == nil && !p.Finished() && s.hasForm(events, p, r.query.Show):
		return false, nil
	}
	var shown processes.Shown
	if err == nil {
		shown, err = s.processes.Show(r.Context(), p, r.query.Show)
	}
	if err != nil {
		return true, s.sendProblem(events, r, err)
	}
	defer shown.Close()
	if id := version(shown.Process, shown.QueuePosition, r.query.Show); id != events.sent { // Show can return a newer form than Find
		if err := shown.Body.Open(r.Context()); err != nil {
			return true, s.sendProblem(events, r, err)
		}
		events.position = shown.QueuePosition
		err = events.sendBody(r.Context(), id, shown.Body)
	}
	if !shown.Process.Finished() {
		return false, err
	}
	return true, events.sendEnd(err)
}

// sendProblem sends an error as the last event with data.
func (s *Server) sendProblem(events *stream, r *request, err error) error {
	problem := problemOf(err)
	s.note(r.Request, problem)
	body := s.processes.NewBody()
	body.Append(problemBody(problem))
	return events.sendEnd(events.sendBody(r.Context(), "", body))
}

// hasForm reports whether a client needs no event of p. A new position alone is not worth a
// call to the API server for the payloads.
func (s *Server) hasForm(events *stream, p *v1alpha1.Process, show wire.Payloads) bool {
	position := s.processes.QueuePosition(p)
	if version(p, position, show) == events.sent {
		events.position = position // the client may have reconnected
		return true
	}
	return version(p, events.position, show) == events.sent && !s.processes.IsCached(p, show)
}

// sendBody sends JSON as one event, with an id if that is not empty. The body is open.
func (e *stream) sendBody(ctx context.Context, id string, body *processes.Body) error {
	e.sent = id
	extendWriteDeadline(e.w, body.Bytes())
	if id != "" {
		_, _ = io.WriteString(e.w, "id: "+id+"\n") // send returns the errors
	}
	if err := send(ctx, &dataWriter{w: e.w}, body); err != nil {
		return err
	}
	return e.send("\n\n")
}

// dataWriter writes lines as those of the data of an event. It leaves out empty lines, which
// have no meaning in JSON and would end the event. The last line has no end.
type dataWriter struct {
	w       io.Writer
	begun   bool // there is a line
	newLine bool // the next byte of a line begins a new one
}

func (w *dataWriter) Write(p []byte) (n int, err error) {
	for rest := p; len(rest) > 0; {
		end := bytes.IndexAny(rest, "\r\n")
		if end == 0 {
			w.newLine, rest = true, rest[1:]
			continue
		}
		if end < 0 {
			end = len(rest)
		}
		prefix := ""
		switch {
		case !w.begun:
			prefix = "data: "
		case w.newLine:
			prefix = "\ndata: "
		}
		w.begun, w.newLine = true, false
		if _, err := io.WriteString(w.w, prefix); err != nil {
			return len(p) - len(rest), err
		}
		if _, err := w.w.Write(rest[:end]); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[end:]
	}
	return len(p), nil
}

// sendEnd sends the last event of a stream, unless err is the error of the event before
// it. A client gets an event only if it has data, so its data is an empty line.
func (e *stream) sendEnd(err error) error {
	if err != nil {
		return err
	}
	return e.send("id: " + endID + "\nevent: end\ndata:\n\n")
}

// send sends a text and what has been written. An error means that the client is gone or
// too slow.
func (e *stream) send(text string) error {
	extendWriteDeadline(e.w, 0)
	_, _ = e.w.Write([]byte(text))
	if err := http.NewResponseController(e.w).Flush(); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}
