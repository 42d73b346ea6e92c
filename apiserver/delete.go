// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import "net/http"

// deleteProcess serves DELETE of /v1/processes/{type}/{id}. The garbage collector of
// Kubernetes deletes the Job and the pod with the Process, and the worker gets SIGTERM.
func (s *Server) deleteProcess(w http.ResponseWriter, r *request) error {
	if err := s.processes.Delete(r.Context(), s.process(r)); err != nil {
		return err
	}
	replyWithoutBody(w, http.StatusNoContent)
	return nil
}
