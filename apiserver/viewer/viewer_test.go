// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package viewer_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"procman.dev/procman/apiserver/viewer"
)

// get asks for a file; ok is false if there is no such file.
func get(t *testing.T, name string, header ...string) (w *httptest.ResponseRecorder, ok bool) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/docs/"+name, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w = httptest.NewRecorder()
	return w, viewer.Serve(w, r, name)
}

// The page loads only files of this package, and all of them exist.
func TestPageLoadsOnlyItsFiles(t *testing.T) {
	page, ok := get(t, "")
	if !ok || page.Code != http.StatusOK {
		t.Fatalf("the page: %t, status %d", ok, page.Code)
	}
	references := regexp.MustCompile(`(?:src=|<link[^>]*href=)"([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(references) < 3 {
		t.Errorf("the page has the references %q", references)
	}
	for _, reference := range references {
		name, ok := regexp.MustCompile(`^/docs/([^/]+)$`).FindStringSubmatch(reference[1]), false
		if name != nil {
			_, ok = get(t, name[1])
		}
		if !ok {
			t.Errorf("the page loads %s, which is not one of its files", reference[1])
		}
	}
	if w, ok := get(t, "index.html"); ok || w.Body.Len() > 0 {
		t.Error("index.html is a file of its own")
	}
}

// Large files are sent compressed to browsers that accept it, with another ETag.
func TestCompression(t *testing.T) {
	const name = "swagger-ui-bundle.js"
	plain, _ := get(t, name)
	zipped, _ := get(t, name, "Accept-Encoding", "gzip, br")
	if plain.Header().Get("Content-Encoding") != "" || zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Body.Len() >= plain.Body.Len() {
		t.Errorf("%d bytes plain, %d bytes %s", plain.Body.Len(), zipped.Body.Len(), zipped.Header().Get("Content-Encoding"))
	}
	if plain.Header().Get("ETag") == zipped.Header().Get("ETag") {
		t.Error("both forms have the same ETag")
	}
	if again, _ := get(t, name, "Accept-Encoding", "gzip", "If-None-Match", zipped.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("the same ETag: status %d, want 304", again.Code)
	}
}
