// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"strconv"
	"time"

	"procman.dev/procman/api/v1alpha1"
)

// getProcess serves GET and HEAD of /v1/processes/{type}/{id}.
func (s *Server) getProcess(w http.ResponseWriter, r *request) error {
	w.Header().Add("Vary", "Accept, Prefer")
	key := s.process(r)
	if r.Method == http.MethodGet && prefers(r.Header, eventsType) {
		return s.streamProcess(w, r, key)
	}
	p, err := s.processes.Find(r.Context(), key)
	if err != nil {
		return err
	}
	return s.showAfterWait(w, r, p)
}

// showAfterWait answers with p, after the wait that the client prefers.
func (s *Server) showAfterWait(w http.ResponseWriter, r *request, p *v1alpha1.Process) error {
	if wait, ok := preferredWait(r.Header); ok {
		newest, applied, err := s.await(w, r, p, wait)
		if err != nil {
			return err
		}
		p = newest
		if applied {
			w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		}
	}
	h := w.Header()
	setProcessHeaders(h, p, s.processes.QueuePosition(p), r.query.Show)
	if r.Method != http.MethodPost && matchesETag(r.Header, h.Get("ETag")) {
		replyWithoutBody(w, http.StatusNotModified)
		return nil
	}
	shown, err := s.processes.Show(r.Context(), p, r.query.Show)
	if err != nil {
		return err
	}
	defer shown.Close()
	setProcessHeaders(h, shown.Process, shown.QueuePosition, r.query.Show) // it can be a newer form
	return s.replyWith(w, r, shown.Body)
}
