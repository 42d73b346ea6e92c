// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"cmp"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"procman.dev/procman/apiserver/processes"
)

const (
	eventsType = "text/event-stream"
	// heartbeatInterval is how often a stream without events sends a comment.
	heartbeatInterval = 15 * time.Second
)

// acceptsEvents reports whether a client accepts server-sent events and does not prefer
// JSON.
func acceptsEvents(h http.Header) bool {
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
			return quality[eventsType] > 0 && quality[eventsType] >= q
		}
	}
	return quality[eventsType] > 0
}

// streamProcess serves a process as server-sent events: its body at once, after each
// change, and last when it is terminal. If the process expires or is deleted, the last
// event is the error that GET returns from then on.
func (s *Server) streamProcess(w http.ResponseWriter, r *request, key processes.Key) error {
	end, ok := s.beginWait(w, r)
	if !ok {
		return busy(time.Second)
	}
	defer end()
	watch := s.processes.Watch(key)
	defer watch.Stop()
	p, err := s.processes.Find(r.Context(), key)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", eventsType)
	w.Header().Set("Vary", "Accept, Prefer")
	w.WriteHeader(http.StatusOK)
	expiry := s.clock.NewTimer(p.ExpirationTime().Sub(s.clock.Now()))
	defer expiry.Stop()
	heartbeat := s.clock.NewTimer(heartbeatInterval)
	defer heartbeat.Stop()
	sent := "" // the ETag of the last event
	for {
		last, err := s.sendIfChanged(w, r, key, &sent)
		if last || err != nil {
			return err
		}
		select {
		case <-watch.Changed:
		case <-expiry.C():
		case <-heartbeat.C():
			heartbeat.Reset(heartbeatInterval)
			if err := sendHeartbeat(w); err != nil {
				return err
			}
		case <-s.draining:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// sendIfChanged sends a process, unless the client has got this form already. Last is
// true after the last event of a stream. sent is the ETag of the newest event.
func (s *Server) sendIfChanged(w http.ResponseWriter, r *request, key processes.Key, sent *string) (last bool, err error) {
	p, err := s.processes.Find(r.Context(), key)
	switch {
	case r.Context().Err() != nil:
		return true, nil
	case err == nil && etag(p) == *sent:
		return false, nil
	}
	var body []byte
	release := func() {}
	if err == nil {
		p, body, release, err = s.processes.Show(r.Context(), p)
	}
	if err != nil {
		problem := problemOf(err)
		s.note(r.Request, problem)
		return true, sendEvent(w, problemBody(problem))
	}
	defer release()
	if tag := etag(p); tag != *sent { // Show can return a newer form than Find
		*sent = tag
		err = sendEvent(w, body)
	}
	return p.Finished(), err
}

// sendEvent sends JSON as one event. Line breaks, which JSON has only between tokens,
// become the lines of the event. It makes no copy of the JSON.
func sendEvent(w http.ResponseWriter, json []byte) error {
	extendWriteDeadline(w)
	for more := true; more; {
		line := json
		end := bytes.IndexAny(json, "\r\n")
		if more = end >= 0; more {
			line, json = json[:end], json[end+1:]
		}
		_, _ = w.Write([]byte("data: ")) // flush returns the errors
		_, _ = w.Write(line)
		_, _ = w.Write([]byte("\n"))
	}
	_, _ = w.Write([]byte("\n"))
	return flush(w)
}

// sendHeartbeat sends a comment, which clients ignore.
func sendHeartbeat(w http.ResponseWriter) error {
	extendWriteDeadline(w)
	_, _ = w.Write([]byte(":\n\n"))
	return flush(w)
}

// flush sends what has been written. An error means that the client is gone or too slow.
func flush(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).Flush(); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}
