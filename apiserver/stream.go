package apiserver

import (
	"bytes"
	"cmp"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	eventsType = "text/event-stream"
	// heartbeat is how often a stream without news shows that it lives.
	heartbeat = 15 * time.Second
	// eventTimeout is how long a client may take for one event, or for an answer that
	// it has waited for.
	eventTimeout = 30 * time.Second
)

// acceptsEvents says whether a client asks for server-sent events, and does not
// like JSON better.
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
		if liked, ok := quality[json]; ok {
			return quality[eventsType] > 0 && quality[eventsType] >= liked
		}
	}
	return quality[eventsType] > 0
}

// streamProcess serves a process as server-sent events: its body at once, at each
// change, and last when it is finished. A process that expires or is deleted
// meanwhile ends the stream with the error that GET would answer.
func (s *Server) streamProcess(w http.ResponseWriter, r *http.Request, typeName, id string) error {
	end, ok := s.beginWait(w, r)
	if !ok {
		return tooManyRequests.failure().with("Retry-After", "1")
	}
	defer end()
	watch := s.cache.watch(id)
	defer watch.stop()
	p, err := s.find(r.Context(), typeName, id)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", eventsType)
	h.Set("Vary", "Accept, Prefer")
	w.WriteHeader(http.StatusOK)
	expiry := s.clock.NewTimer(p.ExpirationTime().Sub(s.clock.Now()))
	defer expiry.Stop()
	beat := s.clock.NewTimer(heartbeat)
	defer beat.Stop()
	for shown, due := "", false; ; { // due: the client has not heard of us for a while
		switch p, err := s.find(r.Context(), typeName, id); {
		case err != nil:
			return s.sendFailure(w, r, err)
		case etag(p) != shown:
			p, body, release, err := s.show(r.Context(), p)
			if err != nil {
				return s.sendFailure(w, r, err)
			}
			if etag(p) != shown { // it may be ahead of the cache, and sent already
				err = sendEvent(w, body)
			}
			release()
			if err != nil || p.Finished() {
				return err
			}
			shown = etag(p)
		case due:
			if err := send(w, []byte(":\n\n")); err != nil {
				return err
			}
		}
		due = false
		select {
		case <-watch.changed:
		case <-expiry.C():
		case <-beat.C():
			due = true
			beat.Reset(heartbeat)
		case <-s.draining:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// sendFailure sends what ends a stream.
func (s *Server) sendFailure(w http.ResponseWriter, r *http.Request, err error) error {
	f := failureOf(err)
	s.note(r, f)
	return sendEvent(w, errorBody(f))
}

// sendEvent sends JSON as one event. Its line breaks, which JSON has between
// tokens alone, become those of the event's lines. Nothing of it is copied.
func sendEvent(w http.ResponseWriter, json []byte) error {
	beginPart(w)
	for more := true; more; {
		line := json
		end := bytes.IndexAny(json, "\r\n")
		if more = end >= 0; more {
			line, json = json[:end], json[end+1:]
		}
		_, _ = w.Write([]byte("data: ")) // an error comes again at the end
		_, _ = w.Write(line)
		_, _ = w.Write([]byte("\n"))
	}
	_, _ = w.Write([]byte("\n"))
	return endPart(w)
}

// send sends a part of a stream at once. The error is that of a client that has
// gone, or is too slow; there is nobody to tell it to.
func send(w http.ResponseWriter, part []byte) error {
	beginPart(w)
	_, _ = w.Write(part)
	return endPart(w)
}

func beginPart(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(eventTimeout)) // not every test's writer has one
}

func endPart(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).Flush(); err != nil {
		return errClientGone
	}
	return nil
}
