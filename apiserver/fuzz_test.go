// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver"
)

// answered passes a request to the handler itself and checks what must be true for every
// request: the response is as in openapi.yaml and never a 5xx.
func answered(t *testing.T, s *apiserver.Server, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := recorded(t, s, r)
	if w.Code >= 500 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	return w
}

// FuzzPost posts bodies with keys. An accepted input is returned byte for byte.
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
	facade.live.OnCreate = func(int32, func() error) error { return nil } // nothing is kept
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
		if id != known { // for which the request would wait
			r.Header["Prefer"], r.Header["Accept"] = []string{prefer}, []string{accept}
		}
		w := answered(t, facade.server, r)
		if w.Code == http.StatusOK && id != "" && strings.TrimSuffix(id, "/") != known { // "" is the list
			t.Errorf("id %q is answered by %s", id, w.Body)
		}
		if facade.live.Gets.Load() != 0 {
			t.Errorf("id %q has caused a live read", id)
		}
	})
}

// FuzzList asks for lists with any query. A list has the processes that its query
// selects, once each and the newest first, and its pages together have all of them.
func FuzzList(f *testing.F) {
	facade := newFacade(f)
	states := map[string]string{"a": "processing", "b": "complete", "c": "error", "d": "processing", "e": "complete"}
	for name, state := range states {
		facade.known(name, map[string]func(*v1alpha1.Process){"processing": unchanged, "complete": finished, "error": workerFailed}[state])
	}
	for _, query := range []string{
		"", "limit=1", "state=error&limit=500", "state=complete", "include=input,output", "continue=AAAAAGn66akAYQ", "continue=x", "a=%zz", ";", "limit=1&limit=2",
		"%00=1", strings.Repeat("%80", 129) + "=1", "limit=2&continue=" + token(epoch, "d"), "include=output&continue=" + token(epoch, "zz"),
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		const path = "/v1/processes/echo"
		page := func(query string) (ids []string, next string, ok bool) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.URL.RawQuery = query
			w := answered(t, facade.server, r)
			var list struct {
				Processes []struct {
					ProcessID, State string
					Input, Output    json.RawMessage
				}
				Continue string
			}
			if w.Code != http.StatusOK {
				return nil, "", false
			}
			if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
				t.Fatal(err)
			}
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatalf("%q is accepted: %v", query, err)
			}
			for name := range values {
				if !slices.Contains([]string{"state", "limit", "continue", "include"}, name) {
					t.Errorf("%q is accepted", query)
				}
			}
			for _, p := range list.Processes {
				ids = append(ids, p.ProcessID)
				if want := values.Get("state"); states[p.ProcessID] != p.State || want != "" && p.State != want {
					t.Errorf("%q lists %+v", query, p)
				}
				shows := values.Get("include")
				if (p.Input != nil) != strings.Contains(shows, "input") || p.Output != nil && !strings.Contains(shows, "output") {
					t.Errorf("%q shows %+v", query, p)
				}
			}
			if !slices.IsSortedFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
				t.Errorf("%q lists %v", query, ids)
			}
			if limit := values.Get("limit"); limit != "" && len(ids) > 1 && strings.TrimLeft(limit, "0") == "1" {
				t.Errorf("%q lists %v", query, ids)
			}
			return ids, list.Continue, true
		}
		ids, next, ok := page(query)
		if !ok || next == "" {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		values.Del("limit")
		all, _, _ := page(values.Encode())
		values.Set("continue", next)
		rest, _, _ := page(values.Encode())
		if !slices.Equal(slices.Concat(ids, rest), all) {
			t.Errorf("%q has %v and then %v, without a limit %v", query, ids, rest, all)
		}
	})
}
