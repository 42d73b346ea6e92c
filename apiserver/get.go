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
	key := s.process(r)
	p, err := s.processes.Find(r.Context(), key)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet && acceptsEvents(r.Header) {
		return s.streamProcess(w, r, key)
	}
	if wait, ok := preferredWait(r.Header); ok {
		var applied bool
		if p, applied, err = s.await(w, r, p, wait); err != nil {
			return err
		}
		if applied {
			w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		}
	}
	return s.showProcess(w, r, p)
}

// showProcess answers with p.
func (s *Server) showProcess(w http.ResponseWriter, r *request, p *v1alpha1.Process) error {
	h := w.Header()
	setProcessHeaders(h, p)
	if matchesETag(r.Header, h.Get("ETag")) {
		replyWithoutBody(w, http.StatusNotModified)
		return nil
	}
	shown, body, release, err := s.processes.Show(r.Context(), p)
	if err != nil {
		return err
	}
	defer release()
	if shown != p { // a newer form
		setProcessHeaders(h, shown)
	}
	reply(w, http.StatusOK, body)
	return nil
}
