// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"net/http"
	"testing"
)

// testDelete: a process is cancelled and deleted.
func (s *suite) testDelete(t *testing.T) {
	for name, input := range map[string]string{"running": `{"echo":{"seconds":60}}`, "finished": `{}`} {
		t.Run(name, func(t *testing.T) {
			id := s.create(t, input).ProcessID
			if name == "finished" {
				s.finish(t, id)
			}
			want(t, s.do(t, http.MethodDelete, path(id), nil, nil), 204, "")
			want(t, s.do(t, http.MethodDelete, path(id), nil, nil), 404, notFound)
			// Other replicas learn of it a moment later.
			eventually(t, "it is deleted", func() bool { return s.get(t, path(id)).status == 404 })
			want(t, s.get(t, path(id)), 404, notFound)
		})
	}
}
