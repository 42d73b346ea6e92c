// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/rs/cors"
)

// CheckOrigins returns an error if one of the origins of Options is not valid.
func CheckOrigins(origins []string) error {
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host) {
			return fmt.Errorf("%q is not an origin, expected one such as https://example.com, or *", origin)
		}
	}
	return nil
}

// allowOrigins returns the middleware that lets the scripts of pages of these origins use
// the API. It answers their preflight requests (docs/contract.md, section 4).
func allowOrigins(origins []string) func(http.Handler) http.Handler {
	if len(origins) == 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{
			"Content-Encoding", "Content-Type", keyHeader, "If-None-Match", "Last-Event-ID", "Prefer", labelsHeader, "X-Request-Id",
		},
		ExposedHeaders: []string{
			"Accept-Encoding", "Accept-Post", "Allow", "Content-Location", "Deprecation", "ETag", "Link", "Preference-Applied",
			"Retry-After", "Sunset", "X-Request-Id",
		},
		MaxAge: 600,
	}).Handler
}
