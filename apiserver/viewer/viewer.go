// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package viewer is a page that shows the OpenAPI description of its host, with forms to
// send requests. All its files are embedded: a browser loads nothing from other hosts.
package viewer

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	swagger "github.com/swaggest/swgui/v5/static"
)

//go:embed index.html viewer.js viewer.css
var own embed.FS

// policy allows the page to load only from this host. Swagger UI sets styles of single
// elements and has small images in its style sheet.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is a file in the forms in which it is sent.
type file struct {
	contentType string
	etag        string
	plain       []byte
	zipped      []byte
}

// files are all files by name; the name of the page is "".
var files = load()

// load reads the embedded files. It panics if one is missing or broken, so that every test
// fails.
func load() map[string]*file {
	loaded := map[string]*file{}
	for name, source := range map[string]struct {
		fs   fs.FS
		name string
	}{
		"":                     {own, "index.html"},
		"viewer.js":            {own, "viewer.js"},
		"viewer.css":           {own, "viewer.css"},
		"swagger-ui-bundle.js": {swagger.FS, "swagger-ui-bundle.js.gz"},
		"swagger-ui.css":       {swagger.FS, "swagger-ui.css.gz"},
		"favicon-32x32.png":    {swagger.FS, "favicon-32x32.png"},
	} {
		data, err := fs.ReadFile(source.fs, source.name)
		if err != nil {
			panic(err)
		}
		f := &file{contentType: mime.TypeByExtension(path.Ext(strings.TrimSuffix(source.name, ".gz"))), plain: data}
		if strings.HasSuffix(source.name, ".gz") {
			f.zipped = data
			if f.plain, err = unzip(data); err != nil {
				panic(fmt.Errorf("unzip %s: %w", source.name, err))
			}
		}
		sum := sha256.Sum256(f.plain)
		f.etag = hex.EncodeToString(sum[:8])
		loaded[name] = f
	}
	return loaded
}

func unzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Serve answers a GET or HEAD of a file of the page, or of the page itself if name is "". If
// there is no such file, it writes nothing and returns false.
func Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	f := files[name]
	if f == nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // names do not change with the version, so that browsers must check the ETag
	h.Add("Vary", "Accept-Encoding")
	data, etag := f.plain, f.etag
	if f.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		data, etag = f.zipped, f.etag+"-gzip"
	}
	h.Set("ETag", `"`+etag+`"`)
	// Only If-None-Match counts. ServeContent would refuse some ranges with a body that is not JSON.
	asked := &http.Request{Method: r.Method, Header: http.Header{"If-None-Match": r.Header["If-None-Match"]}}
	http.ServeContent(w, asked, name, time.Time{}, bytes.NewReader(data))
	return true
}
