package contract

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// testDelete: a process is cancelled and gone.
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
			eventually(t, "it is gone", func() bool { return s.get(t, path(id)).status == 404 })
			want(t, s.get(t, path(id)), 404, notFound)
		})
	}
}

// page is a page of a list.
type page struct {
	Processes []process `json:"processes"`
	Continue  string    `json:"continue"`
}

func (s *suite) list(t *testing.T, query string) page {
	t.Helper()
	a := s.get(t, "/v1/processes/"+typeName+"?"+query)
	var p page
	if err := json.Unmarshal(a.body, &p); err != nil || a.status != 200 {
		t.Fatalf("list %s: status %d, %v: %s", query, a.status, err, a.body)
	}
	return p
}

// testList: the newest first, page by page, of one state, with and without
// payloads.
func (s *suite) testList(t *testing.T) {
	ids := map[string]bool{}
	for n := range 5 {
		a := s.create(t, fmt.Sprintf(`{"any":"of the list","order":{"number":%d}}`, n+1))
		ids[a.ProcessID] = true
		s.finish(t, a.ProcessID)
	}
	running := s.create(t, `{"echo":{"seconds":60}}`).ProcessID
	eventually(t, "all are listed", func() bool {
		listed := map[string]bool{}
		for _, p := range s.list(t, "limit=500").Processes {
			listed[p.ProcessID] = true
		}
		for id := range ids {
			if !listed[id] {
				return false
			}
		}
		return listed[running]
	})
	t.Run("pages", func(t *testing.T) {
		found, last := map[string]int{}, ""
		query := "limit=2"
		for {
			p := s.list(t, query)
			for _, item := range p.Processes {
				found[item.ProcessID]++
				if item.Input != nil || item.Output != nil {
					t.Errorf("a payload that nobody asked for: %+v", item)
				}
				if last != "" && item.ExpirationDateTime > last {
					t.Errorf("%s comes after %s, want the newest first", item.ExpirationDateTime, last)
				}
				last = item.ExpirationDateTime
			}
			if len(p.Processes) > 2 || len(p.Processes) == 0 && p.Continue != "" {
				t.Errorf("a page of %d, continue %q", len(p.Processes), p.Continue)
			}
			if p.Continue == "" {
				break
			}
			query = "limit=2&continue=" + url.QueryEscape(p.Continue)
		}
		for id := range ids {
			if found[id] != 1 {
				t.Errorf("process %s is on %d pages, want 1", id, found[id])
			}
		}
	})
	t.Run("by state", func(t *testing.T) {
		for _, state := range []string{"processing", "complete", "error"} {
			for _, item := range s.list(t, "limit=500&state="+state).Processes {
				if item.State != state {
					t.Errorf("state=%s lists %+v", state, item)
				}
			}
		}
	})
	t.Run("with payloads", func(t *testing.T) {
		for _, item := range s.list(t, "limit=500&include=input,output").Processes {
			if ids[item.ProcessID] && (string(item.Output) != string(item.Input) || !strings.Contains(string(item.Input), "of the list")) {
				t.Errorf("input %s, output %s", item.Input, item.Output)
			}
		}
	})
	t.Run("by alias and old name", func(t *testing.T) {
		for _, p := range []string{"/v1/processes/" + aliasName, "/v1/processes/" + typeName + "/", "/v4/processes/" + typeName} {
			if a := s.get(t, p+"?limit=1"); a.status != 200 {
				t.Errorf("GET %s: status %d: %s", p, a.status, a.body)
			}
		}
	})
	t.Run("a page's last process is deleted before the next page", func(t *testing.T) {
		first := s.list(t, "limit=1")
		if first.Continue == "" {
			t.Fatal("there is but one page")
		}
		want(t, s.do(t, http.MethodDelete, path(running), nil, nil), 204, "")
		if next := s.list(t, "limit=1&continue="+first.Continue); len(next.Processes) != 1 || next.Processes[0].ProcessID == first.Processes[0].ProcessID {
			t.Errorf("the next page is %+v", next)
		}
	})
	t.Run("bad queries", func(t *testing.T) {
		const bad = `{"errorCode":"InvalidInput","errorDetails":{"in":"query","at":`
		for query, body := range map[string]string{
			"state=done":      bad + `"state","expected":{"enum":["processing","complete","error"]}}}`,
			"limit=0":         bad + `"limit","expected":{"type":"integer","minimum":1,"maximum":500}}}`,
			"limit=501":       bad + `"limit","expected":{"type":"integer","minimum":1,"maximum":500}}}`,
			"limit=ten":       bad + `"limit","expected":{"type":"integer","minimum":1,"maximum":500}}}`,
			"limit=1&limit=2": bad + `"limit","expected":{"type":"integer","minimum":1,"maximum":500}}}`,
			"include=all":     bad + `"include","expected":{"type":"array","items":{"enum":["input","output"]}}}}`,
			"continue=x":      bad + `"continue","expected":{"type":"string","description":"the continue of an earlier page"}}}`,
			"stat=error":      `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"query","at":"stat"}}`,
		} {
			want(t, s.get(t, "/v1/processes/"+typeName+"?"+query), 480, body)
		}
	})
	want(t, s.get(t, "/v1/processes/no-such-type"), 404, notFound)
}

// testProcessTypes: what can be asked for.
func (s *suite) testProcessTypes(t *testing.T) {
	a := s.get(t, "/v1/processTypes")
	var list struct {
		ProcessTypes []struct {
			Name                      string
			Aliases                   []string
			Description               string
			InputSchema, OutputSchema map[string]any
			Limits                    struct{ InputBytes, OutputBytes int }
			LifetimeSeconds           int
		}
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, pt := range list.ProcessTypes {
		if pt.Name != typeName {
			continue
		}
		found = true
		if len(pt.Aliases) != 1 || pt.Aliases[0] != aliasName || pt.Description == "" || pt.Limits.InputBytes != 4096 || pt.Limits.OutputBytes != 4096 ||
			pt.LifetimeSeconds != 600 || pt.InputSchema["additionalProperties"] != false || pt.OutputSchema["type"] != "object" {
			t.Errorf("it is shown as %+v", pt)
		}
	}
	if !found {
		t.Errorf("type %s is not listed: %s", typeName, a.body)
	}
	if again := s.do(t, http.MethodGet, "/v1/processTypes/", nil, header{{"If-None-Match", a.header.Get("ETag")}}); again.status != 304 {
		t.Errorf("If-None-Match: status %d", again.status)
	}
}

// testDescription: /openapi.json is sound and knows the types; /docs shows it
// with what this host has alone.
func (s *suite) testDescription(t *testing.T) {
	a := s.get(t, "/openapi.json")
	if _, err := NewChecker(a.body); err != nil {
		t.Errorf("/openapi.json: %v", err)
	}
	for _, p := range []string{`"/v1/processes/contract"`, `"/v1/processes/contract/{processId}"`, `"Input.contract"`, `"Output.contract"`} {
		if !strings.Contains(string(a.body), p+":{") {
			t.Errorf("/openapi.json lacks %s", p)
		}
	}
	if again := s.do(t, http.MethodGet, "/openapi.json", nil, header{{"If-None-Match", a.header.Get("ETag")}}); again.status != 304 {
		t.Errorf("If-None-Match: status %d", again.status)
	}
	docs := s.get(t, "/docs")
	if docs.status != 200 || !strings.HasPrefix(docs.header.Get("Content-Type"), "text/html") || !strings.Contains(docs.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("/docs: status %d, %v", docs.status, docs.header)
	}
	for quoted := range strings.SplitSeq(string(docs.body), `"`) {
		if strings.Contains(quoted, "://") {
			t.Errorf("/docs asks another host: %s", quoted)
		}
		if !strings.HasPrefix(quoted, "/docs/") {
			continue
		}
		request := s.request(t, s.URL, http.MethodGet, quoted, nil, nil)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("%s: status %d", quoted, response.StatusCode)
		}
	}
}

// testRouter: unknown paths and wrong methods.
func (s *suite) testRouter(t *testing.T) {
	for _, p := range []string{"/", "/v1", "/v2/processes/contract", "/v1/processes", "/v1/processes/", "/v1/processes/contract/a/b", "/v1//processes/contract", "/v1/processes/../processes/contract", "/docs/none"} {
		want(t, s.get(t, p), 404, notFound)
	}
	for _, test := range []struct{ method, path, allow string }{
		{"PUT", "/v1/processes/contract", "GET, HEAD, POST"},
		{"DELETE", "/v1/processes/contract/", "GET, HEAD, POST"},
		{"POST", path("a"), "DELETE, GET, HEAD"},
		{"PATCH", path("a") + "/", "DELETE, GET, HEAD"},
		{"OPTIONS", path("a"), "DELETE, GET, HEAD"},
		{"BREW", "/v1/processTypes", "GET, HEAD"},
		{"POST", "/openapi.json", "GET, HEAD"},
	} {
		a := s.do(t, test.method, test.path, nil, nil)
		want(t, a, 405, `{"errorCode":"MethodNotAllowed"}`)
		if got := a.header.Get("Allow"); got != test.allow {
			t.Errorf("%s %s: Allow %q, want %q", test.method, test.path, got, test.allow)
		}
	}
}

// testDeprecated: /v4 is /v1 with a note on every answer.
func (s *suite) testDeprecated(t *testing.T) {
	noted := func(a answer, p string) {
		t.Helper()
		if !strings.HasPrefix(a.header.Get("Deprecation"), "@") || a.header.Get("Link") != "</v1"+p+`>; rel="successor-version"` {
			t.Errorf("/v4%s: status %d, Deprecation %q, Link %q", p, a.status, a.header.Get("Deprecation"), a.header.Get("Link"))
		}
	}
	const p = "/processes/" + typeName + "/"
	a := s.do(t, http.MethodPost, "/v4"+p, strings.NewReader(`{"input":{}}`), nil)
	noted(a, p)
	if a.status != 200 || a.State != "processing" {
		t.Fatalf("POST: status %d: %s", a.status, a.body)
	}
	done := s.finish(t, a.ProcessID)
	got := s.get(t, "/v4"+p+a.ProcessID)
	noted(got, p+a.ProcessID)
	want(t, got, 200, string(done.body))
	refused := s.do(t, http.MethodPost, "/v4"+p, strings.NewReader(`{}`), nil)
	noted(refused, p)
	want(t, refused, 480, `{"errorCode":"MissingInput","errorDetails":{"in":"body","at":"input"}}`)
	for _, path := range []string{p + "none", "/none"} {
		missing := s.get(t, "/v4"+path)
		noted(missing, path)
		want(t, missing, 404, notFound)
	}
	noted(s.do(t, http.MethodPut, "/v4"+p, nil, nil), p)
	noted(s.do(t, http.MethodDelete, "/v4"+p+a.ProcessID, nil, nil), p+a.ProcessID)
	if h := done.header; h.Get("Deprecation") != "" || h.Get("Link") != "" || h.Get("Sunset") != "" {
		t.Errorf("/v1 says that it is deprecated: %v", h)
	}
}

// testRequestID: a client's name for its request comes back, if it is one.
func (s *suite) testRequestID(t *testing.T) {
	minted := map[string]bool{}
	for id, kept := range map[string]bool{"abc-1.2": true, "": false, "with blank": false, strings.Repeat("x", 129): false} {
		got := s.do(t, http.MethodGet, path("none"), nil, header{{"X-Request-Id", id}}).header.Get("X-Request-Id")
		if (got == id) != kept || got == "" || minted[got] {
			t.Errorf("X-Request-Id %q comes back as %q", id, got)
		}
		minted[got] = true
	}
}

// testNoHTTP: what is no sound request is answered in JSON all the same.
func (s *suite) testNoHTTP(t *testing.T) {
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if base.Scheme != "http" {
		t.Skip("the target is behind TLS: what answers to no HTTP is not the facade")
	}
	long := strings.Repeat("x", 80<<10)
	for name, test := range map[string]struct {
		sent   string
		status int
		body   string
	}{
		"no HTTP":                {"hello\r\n\r\n", 400, `{"errorCode":"BadRequest"}`},
		"no host":                {"GET / HTTP/1.1\r\n\r\n", 400, `{"errorCode":"BadRequest"}`},
		"bad header":             {"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, `{"errorCode":"BadRequest"}`},
		"unknown version":        {"GET / HTTP/7.0\r\nHost: a\r\n\r\n", 505, `{"errorCode":"BadRequest"}`},
		"unknown coding":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n", 501, `{"errorCode":"BadRequest"}`},
		"unknown expectation":    {"GET / HTTP/1.1\r\nHost: a\r\nExpect: much\r\n\r\n", 417, `{"errorCode":"BadRequest"}`},
		"headers over the limit": {"GET / HTTP/1.1\r\nHost: a\r\nX: " + long + "\r\n\r\n", 431, `{"errorCode":"HeadersTooLarge"}`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.DialTimeout("tcp", base.Host, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, test.sent); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || string(body) != test.body || response.Header.Get("X-Request-Id") == "" || response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("status %d, %v: %s\nwant %d: %s", response.StatusCode, response.Header, body, test.status, test.body)
			}
		})
	}
}

// testIdempotency: one key is one process.
func (s *suite) testIdempotency(t *testing.T) {
	const reused = `{"errorCode":"IdempotencyKeyReused","errorDetails":{"in":"header","at":"Idempotency-Key"}}`
	t.Run("the same again", func(t *testing.T) {
		key := uniqueKey(t)
		first := s.post(t, `{"input":{"any":1.0}}`, [2]string{"Idempotency-Key", key})
		if first.status != 200 {
			t.Fatalf("status %d: %s", first.status, first.body)
		}
		quoted := `"` + key + `"`
		again := s.post(t, `{ "input" : {"any":1.0} }`, [2]string{"Idempotency-Key", quoted})
		want(t, again, 200, string(first.body))
		s.finish(t, first.ProcessID)
		want(t, s.post(t, `{"input":{"any":1.0}}`, [2]string{"Idempotency-Key", key}), 200, string(first.body))
		want(t, s.post(t, `{"input":{"any":1}}`, [2]string{"Idempotency-Key", key}), 422, reused)
		other := s.do(t, http.MethodPost, "/v1/processes/"+briefName, strings.NewReader(`{"input":{"any":1.0}}`), header{{"Idempotency-Key", key}})
		if other.status != 200 || other.ProcessID == first.ProcessID {
			t.Errorf("the same key with another type: status %d: %s", other.status, other.body)
		}
	})
	t.Run("after DELETE", func(t *testing.T) {
		key := uniqueKey(t)
		first := s.post(t, `{"input":{}}`, [2]string{"Idempotency-Key", key})
		want(t, s.do(t, http.MethodDelete, path(first.ProcessID), nil, nil), 204, "")
		eventually(t, "all replicas know", func() bool { return s.get(t, path(first.ProcessID)).status == 404 })
		want(t, s.post(t, `{"input":{}}`, [2]string{"Idempotency-Key", key}), 422, reused)
	})
	t.Run("after expiry", func(t *testing.T) {
		key := uniqueKey(t)
		brief := func() answer {
			return s.do(t, http.MethodPost, "/v1/processes/"+briefName, strings.NewReader(`{"input":{}}`), header{{"Idempotency-Key", key}})
		}
		first := brief()
		eventually(t, "the key is free again", func() bool { return brief().ProcessID != first.ProcessID })
		want(t, s.get(t, "/v1/processes/"+briefName+"/"+first.ProcessID), 410, expired)
	})
	t.Run("no key", func(t *testing.T) {
		for _, key := range []string{"", `"`, `"open`, `"a"b`, `""`, "é", strings.Repeat("x", 256)} {
			a := s.post(t, `{"input":{}}`, [2]string{"Idempotency-Key", key})
			want(t, a, 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"header","at":"Idempotency-Key","expected":{"type":"string","minLength":1,"maxLength":255,"pattern":"^[ -~]+$"}}}`)
		}
	})
}

// testIdempotencyConcurrent: 32 at once over all replicas are one process.
func (s *suite) testIdempotencyConcurrent(t *testing.T) {
	for range 4 {
		key := uniqueKey(t)
		ids := make([]string, 32)
		var all sync.WaitGroup
		for i := range ids {
			request := s.request(t, s.Replicas[i%len(s.Replicas)], http.MethodPost, "/v1/processes/"+typeName, strings.NewReader(`{"input":{"any":"`+key+`"}}`), header{{"Idempotency-Key", key}})
			all.Go(func() {
				response, err := client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = response.Body.Close() }()
				var p process
				if err := json.NewDecoder(response.Body).Decode(&p); err != nil || response.StatusCode != 200 {
					t.Errorf("status %d, %v, %+v", response.StatusCode, err, p)
				}
				ids[i] = p.ProcessID
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("two ids: %s and %s", ids[0], id)
			}
		}
		s.finish(t, ids[0])
		count := 0
		for query := "limit=500&include=input"; ; {
			p := s.list(t, query)
			for _, item := range p.Processes {
				if strings.Contains(string(item.Input), key) {
					count++
				}
			}
			if p.Continue == "" {
				break
			}
			query = "limit=500&include=input&continue=" + p.Continue
		}
		if count != 1 {
			t.Errorf("there are %d processes, want 1", count)
		}
	}
}

// testVendorClient works as the clients do that this API has had for years: a
// trailing slash, a charset, headers of their own; a GET at once and then one
// each half second; anything but a 2xx with application/json is the end.
func (s *suite) testVendorClient(t *testing.T) {
	ask := func(method, url, body string) map[string]any {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json; charset=utf-8")
		request.Header.Set("Acs-Api-Key", "none of ours")
		request.Header.Set("X-Vendor-Version", "4.1")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode/100 != 2 || response.StatusCode == 201 || response.StatusCode == 202 || response.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s %s: status %d, Content-Type %q", method, url, response.StatusCode, response.Header.Get("Content-Type"))
		}
		var said map[string]any
		if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		return said
	}
	for input, wanted := range map[string]string{
		`{"echo":{"seconds":1},"any":"page"}`:                               "complete",
		`{"echo":{"error":{"errorCode":"InvalidInput","errorDetails":{}}}}`: "error InvalidInput",
	} {
		base := s.URL + "/v1/processes/" + aliasName + "/"
		said := ask(http.MethodPost, base, `{"input":`+input+`}`)
		id, _ := said["processId"].(string)
		for start := time.Now(); time.Since(start) < patience; {
			said = ask(http.MethodGet, base+id, "")
			if said["state"] != "processing" {
				break
			}
			<-time.After(500 * time.Millisecond)
		}
		got, _ := said["state"].(string)
		if code, ok := said["errorCode"].(string); ok {
			got += " " + code
		}
		if output, ok := said["output"].(map[string]any); got != wanted || (got == "complete") != ok || ok && output["any"] != "page" {
			t.Errorf("it ends as %v", said)
		}
	}
}
