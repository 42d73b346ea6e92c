package apiserver_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"procman.dev/procman/apiserver"
)

// answered sends a request to the handler itself and checks what holds whatever
// a client sends: the answer is as openapi.yaml says and never a 5xx.
func answered(t *testing.T, s *apiserver.Server, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := recorded(t, s, r)
	if w.Code >= 500 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	return w
}

// FuzzPost posts bodies with keys. What is accepted comes back byte for byte.
func FuzzPost(f *testing.F) {
	for _, body := range []string{
		`{"input":{"source":"x","pages":[{"dpi":1}],"low":1,"high":2}}`, ` { "input" : {"source":"\u00e9\ud83d\ude00"} } `,
		`{"input":{"source":5}}`, `{"input":{"source":"x","pages":[{"dpi":1e2},{"dpi":1.5}]}}`, `{"input":{"low":2,"high":1,"source":""}}`,
		`{"input":{"source":"x","source":"y"}}`, `{"input":{},"input":{}}`, `{"input":null}`, `{"input":[]}`, `{}`, ``, `[`, `{"a`, `nul`,
		`{"input":{"high":1e999}}`, `{"input":{"high":12345678901234567890123456789}}`, `{"input":{"source":"\u0000"}}`, "{\"input\":{\"source\":\"\xff\"}}",
		`{"input":{"pages":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}}`, `{"input":{}} {}`, `{"input":{"x y":1}}`, "\xef\xbb\xbf{}",
	} {
		f.Add(body, "", true)
		f.Add(body, `"key"`, false)
	}
	facade := newFacade(f)
	facade.onCreate = func(int32, func() error) error { return nil } // nothing is kept
	f.Fuzz(func(t *testing.T, body, key string, strict bool) {
		path := "/v1/processes/echo"
		if strict {
			path = "/v1/processes/ocr"
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if key != "" {
			r.Header["Idempotency-Key"] = []string{key}
		}
		w := answered(t, facade.server, r)
		if w.Code != http.StatusOK {
			return
		}
		_, input, _ := strings.Cut(w.Body.String(), `"input":`)
		if !strings.Contains(body, strings.TrimSuffix(input, "}")) {
			t.Errorf("%q is accepted as %s", body, w.Body)
		}
	})
}

// FuzzProcess asks for processes by any id, with any preference.
func FuzzProcess(f *testing.F) {
	facade := newFacade(f)
	const known = "mine"
	facade.known(known, unchanged)
	for _, id := range []string{known, known + "/", "", "Mine", "a", strings.Repeat("a", 40), strings.Repeat("7", 40), "..", "%2e", "a/b", "\x00", "é"} {
		f.Add(id, "wait=0", "*/*", `"x"`)
	}
	f.Fuzz(func(t *testing.T, id, prefer, accept, tag string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/processes/echo/x", nil)
		r.URL.Path = "/v1/processes/echo/" + id
		r.Header["If-None-Match"] = []string{tag}
		if id != known { // which would be waited for
			r.Header["Prefer"], r.Header["Accept"] = []string{prefer}, []string{accept}
		}
		w := answered(t, facade.server, r)
		if w.Code == http.StatusOK && id != "" && strings.TrimSuffix(id, "/") != known { // "" is the list
			t.Errorf("id %q is answered by %s", id, w.Body)
		}
		if facade.gets.Load() != 0 {
			t.Errorf("id %q has cost a live read", id)
		}
	})
}

// FuzzList asks for lists with any query.
func FuzzList(f *testing.F) {
	facade := newFacade(f)
	for _, name := range []string{"a", "b", "c"} {
		facade.known(name, unchanged)
	}
	for _, query := range []string{"", "limit=1", "state=error&limit=500", "include=input,output", "continue=AAAAAGn66akAYQ", "continue=x", "a=%zz", ";", "limit=1&limit=2", "%00=1", strings.Repeat("%80", 129) + "=1"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/processes/echo", nil)
		r.URL.RawQuery = query
		answered(t, facade.server, r)
	})
}
