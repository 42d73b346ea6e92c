package apiserver

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// deprecated is since when /v4 counts as deprecated. It came before /v1 and is
// there for the clients of that time.
var deprecated = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// deprecate adds the headers that say that a request came by the deprecated
// alias (RFC 9745, RFC 8594), and says whether it did.
func (s *Server) deprecate(h http.Header, r *http.Request) bool {
	escaped, path, ok := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	version, err := url.PathUnescape(escaped) // as the mux does
	if !ok || err != nil || "/"+version != deprecatedVersion {
		return false
	}
	h.Set("Deprecation", "@"+strconv.FormatInt(deprecated.Unix(), 10))
	h.Set("Link", "</v1/"+path+`>; rel="successor-version"`)
	if !s.sunset.IsZero() {
		h.Set("Sunset", s.sunset.UTC().Format(http.TimeFormat))
	}
	return true
}
