// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"

	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/viewer"
)

// document returns the handler of GET and HEAD of a document about the types.
func document(of func(namespace string) (catalog.Document, error)) handler {
	return func(w http.ResponseWriter, r *request) error {
		d, err := of(r.namespace)
		if err != nil {
			return err
		}
		w.Header().Set("ETag", d.ETag)
		if matchesETag(r.Header, d.ETag) {
			replyWithoutBody(w, http.StatusNotModified)
			return nil
		}
		reply(w, http.StatusOK, d.Body)
		return nil
	}
}

// getRoot serves GET and HEAD of /. It leads a browser to the page /docs.
func getRoot(w http.ResponseWriter, r *request) error {
	w.Header().Add("Vary", "Accept")
	status := http.StatusOK
	if prefers(r.Header, "text/html") {
		w.Header().Set("Location", "/docs")
		status = http.StatusFound
	}
	reply(w, status, []byte(`{"docs":"/docs","openapi":"/openapi.json","processTypes":"/v1/processTypes"}`))
	return nil
}

// getLivez serves GET and HEAD of /livez.
func getLivez(w http.ResponseWriter, _ *request) error {
	replyHealth(w, healthy)
	return nil
}

// getReadyz serves GET and HEAD of /readyz.
func (s *Server) getReadyz(w http.ResponseWriter, _ *request) error {
	replyHealth(w, s.health())
	return nil
}

// getDocs serves GET and HEAD of /docs, a page that shows /openapi.json.
func getDocs(w http.ResponseWriter, r *request) error {
	if !viewer.Serve(w, r.Request, r.PathValue("asset")) {
		return resourceNotFound.problem()
	}
	return nil
}
