// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"

	"k8s.io/apimachinery/pkg/types"
)

// listProcesses serves GET and HEAD of /v1/processes/{type}.
func (s *Server) listProcesses(w http.ResponseWriter, r *request) error {
	t := s.catalog.Lookup(r.namespace, r.typeName)
	if t == nil {
		return resourceNotFound.problem()
	}
	page, err := s.processes.List(r.Context(), types.NamespacedName{Namespace: r.namespace, Name: t.Name}, r.query)
	if err != nil {
		return err
	}
	defer page.Close()
	body := s.processes.NewBody()
	defer body.Close()
	separator := `{"processes":[`
	for _, item := range page.Items {
		body.Append([]byte(separator))
		body.AppendBody(item)
		separator = ","
	}
	if len(page.Items) == 0 {
		body.Append([]byte(separator))
	}
	end := "]}"
	if page.More {
		end = `],"continue":"` + page.Next.Token() + `"}`
	}
	body.Append([]byte(end))
	return s.replyWith(w, r, body)
}
