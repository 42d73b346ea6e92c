// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"procman.dev/procman/test/docs"
)

// unreliableFacade is a proxy to the facade that loses some responses and rejects some
// requests, unless it is reliable.
type unreliableFacade struct {
	facade   http.Handler
	reliable bool

	mu       sync.Mutex
	requests map[string]int  // by method
	keys     map[string]bool // of POSTs
}

func newUnreliableFacade(t *testing.T, reliable bool) (*unreliableFacade, *httptest.Server) {
	t.Helper()
	target, err := url.Parse(baseURL)
	if err != nil {
		t.Fatal(err)
	}
	u := &unreliableFacade{
		facade:   &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }},
		reliable: reliable, requests: map[string]int{}, keys: map[string]bool{},
	}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	return u, server
}

// ServeHTTP loses the response to the first request of each method, answers 429 to the
// second and 580 to the third, and forwards all others.
func (u *unreliableFacade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.requests[r.Method]++
	n := u.requests[r.Method]
	if r.Method == http.MethodPost {
		u.keys[r.Header.Get("Idempotency-Key")] = true
	}
	u.mu.Unlock()
	reject := func(status int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	switch {
	case u.reliable || n > 3:
		u.facade.ServeHTTP(w, r)
	case n == 1:
		u.facade.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case n == 2:
		w.Header().Set("Retry-After", "1")
		reject(http.StatusTooManyRequests, `{"errorCode":"TooManyRequests"}`)
	default:
		reject(580, `{"errorCode":"InternalError"}`)
	}
}

// TestDocsClients runs the clients of docs/clients.md. If responses are lost, they send
// again and still create one process. If their input is refused, they do not send again.
func TestDocsClients(t *testing.T) {
	t.Parallel()
	files, err := docs.Files("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for program, command := range map[string][]string{
		"client.sh": {"bash", "client.sh"}, "client.py": {"python3", "client.py"},
		"client.mjs": {"node", "client.mjs"}, "client.go": {"go", "run", "client.go"},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, program), []byte(files[program]), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(server *httptest.Server, input string) (string, error) {
				defer server.Close() // waits for all requests before they are counted
				c := exec.CommandContext(t.Context(), command[0], append(command[1:], "echo")...)
				c.Dir, c.Stdin, c.Stderr = dir, strings.NewReader(input), t.Output()
				c.Env = append(os.Environ(), "PROCMAN_URL="+server.URL)
				output, err := c.Output()
				return string(bytes.ReplaceAll(output, []byte(" "), nil)), err
			}

			u, server := newUnreliableFacade(t, false)
			input := `{"sentBy":"` + program + `","from":"` + server.URL + `"}`
			if output, err := run(server, input); err != nil || output != input+"\n" {
				t.Errorf("with lost responses: %v, output %s\nwant %s", err, output, input)
			}
			if u.requests[http.MethodPost] < 4 || u.requests[http.MethodGet] < 4 || len(u.keys) != 1 || u.keys[""] {
				t.Errorf("with lost responses: %v, keys %v; want 4 of each, one key", u.requests, u.keys)
			}
			newest := do(t, http.MethodGet, "/v1/processes/echo?limit=500&include=input", nil)
			if n := bytes.Count(newest.body, []byte(input)); n != 1 {
				t.Errorf("with lost responses: %d processes, want 1", n)
			}

			u, server = newUnreliableFacade(t, true)
			output, err := run(server, `{"echo":{"secnods":1}}`)
			if err == nil || output != "" || u.requests[http.MethodPost] != 1 || u.requests[http.MethodGet] != 0 {
				t.Errorf("refused: %v, output %s, %v; want an error, and one POST", err, output, u.requests)
			}
		})
	}
}
