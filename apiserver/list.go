// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
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
	var body bytes.Buffer
	body.WriteString(`{"processes":[`)
	body.Write(bytes.Join(page.Items, []byte(",")))
	body.WriteByte(']')
	if page.More {
		body.WriteString(`,"continue":"` + page.Next.Token() + `"`)
	}
	body.WriteByte('}')
	reply(w, http.StatusOK, body.Bytes())
	return nil
}
