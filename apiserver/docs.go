package apiserver

import (
	"net/http"

	"procman.dev/procman/apiserver/viewer"
)

// getDocs serves GET and HEAD /docs, a page that shows /openapi.json.
func getDocs(w http.ResponseWriter, r *http.Request) error {
	if !viewer.Serve(w, r, r.PathValue("asset")) {
		return resourceNotFound.failure()
	}
	return nil
}
