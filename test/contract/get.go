// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testGet: a process from its creation to its output, on every replica.
func (s *suite) testGet(t *testing.T) {
	created := s.create(t, `{"echo":{"seconds":2,"progress":[25,50]},"any":1.0}`)
	for _, replica := range s.Replicas { // at once, without a pause
		a := s.send(t, s.request(t, replica, http.MethodGet, path(created.ProcessID), nil, nil))
		if a.status != 200 || string(a.Input) != string(created.Input) || a.ExpirationDateTime != created.ExpirationDateTime {
			t.Errorf("GET right after POST: status %d: %s", a.status, a.body)
		}
		if a.State == "processing" && a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q while processing", a.header.Get("Retry-After"))
		}
	}
	var seen []int
	var last answer
	eventually(t, "the process is terminal", func() bool {
		last = s.get(t, path(created.ProcessID))
		if p := last.PercentComplete; p != nil && (len(seen) == 0 || seen[len(seen)-1] != *p) {
			seen = append(seen, *p)
		}
		return last.State != "processing"
	})
	if last.State != "complete" || string(last.Output) != string(created.Input) || last.ErrorCode != "" || last.header.Get("Retry-After") != "" {
		t.Errorf("it ends as %s, %v", last.body, last.header)
	}
	if len(seen) == 0 || seen[0] > seen[len(seen)-1] {
		t.Errorf("the progress seen is %v, want it to grow", seen)
	}
	for _, p := range []string{path(created.ProcessID) + "/", strings.Replace(path(created.ProcessID), typeName, aliasName, 1)} {
		want(t, s.get(t, p), 200, string(last.body))
	}
	head := s.do(t, http.MethodHead, path(created.ProcessID), nil, nil)
	if head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Length") != strconv.Itoa(len(last.body)) {
		t.Errorf("HEAD: status %d, %v", head.status, head.header)
	}
}

// testQueue: processes that wait for their turn have a position, on every replica. It falls
// when the queue moves. A process that has its turn has none.
func (s *suite) testQueue(t *testing.T) {
	const queue = "/v1/processes/" + queueName
	var ids []string
	for range 3 {
		a := s.do(t, http.MethodPost, queue, strings.NewReader(`{"input":{"echo":{"seconds":8}}}`), nil)
		if a.status != 200 || a.QueuePosition != 0 {
			t.Fatalf("POST: status %d: %s", a.status, a.body)
		}
		ids = append(ids, a.ProcessID)
	}
	awaitPositions := func(what string, want ...int) {
		t.Helper()
		for _, replica := range s.Replicas {
			eventually(t, what, func() bool {
				for i, id := range ids {
					if a := s.send(t, s.request(t, replica, http.MethodGet, queue+"/"+id, nil, nil)); a.QueuePosition != want[i] {
						return false
					}
				}
				return true
			})
		}
	}
	awaitPositions("the second and the third one wait", 0, 1, 2)
	if a := s.do(t, http.MethodDelete, queue+"/"+ids[0], nil, nil); a.status != 204 {
		t.Errorf("DELETE: status %d: %s", a.status, a.body)
	}
	ids = ids[1:]
	awaitPositions("the first one is deleted", 0, 1)
	for _, id := range ids {
		var last answer
		eventually(t, "it is terminal", func() bool {
			last = s.get(t, queue+"/"+id)
			return last.State != "processing"
		})
		if last.State != "complete" || last.QueuePosition != 0 {
			t.Errorf("it ends as %s", last.body)
		}
	}
}

// testWorkerErrors: a process that failed is a 200.
func (s *suite) testWorkerErrors(t *testing.T) {
	for name, test := range map[string]struct{ input, code, details string }{
		"the worker refuses its input": {`{"echo":{"error":{"errorCode":"InvalidInput","errorDetails":{"page":3}}}}`, "InvalidInput", `{"page":3}`},
		"the worker's own error":       {`{"echo":{"error":{"errorCode":"PageUpsideDown"}}}`, "PageUpsideDown", ``},
		"no output":                    {`{"echo":{"noOutput":true}}`, "OutputMissing", ``},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.finish(t, s.create(t, test.input).ProcessID)
			if a.State != "error" || a.ErrorCode != test.code || a.Output != nil || test.details != "" && string(a.ErrorDetails) != test.details {
				t.Errorf("got %s", a.body)
			}
		})
	}
}

// testNotFound: all ids that were never given out get the same response.
func (s *suite) testNotFound(t *testing.T) {
	id := s.create(t, `{}`).ProcessID
	made := "a" + strings.Repeat("b", len(id)-1)
	for name, p := range map[string]string{
		"made up":                 path(made),
		"too short":               path(id[:len(id)-1]),
		"too long":                path(id + "a"),
		"upper case":              path(strings.ToUpper(id)),
		"one letter off":          path(id[:len(id)-1] + string('a'+(id[len(id)-1]-'a'+1)%26)),
		"malformed":               path("-._~"),
		"escaped":                 path("%00"),
		"very long":               path(strings.Repeat("x", 2000)),
		"another type's":          "/v1/processes/" + briefName + "/" + id,
		"of an unknown type":      "/v1/processes/no-such-type/" + id,
		"of a type, another case": "/v1/processes/Contract/" + id,
	} {
		want(t, s.get(t, p), 404, notFound)
		if a := s.do(t, http.MethodDelete, p, nil, nil); a.status != 404 {
			t.Errorf("DELETE, %s: status %d", name, a.status)
		}
	}
	if a := s.get(t, path(id)); a.status != 200 {
		t.Errorf("the process itself: status %d: %s", a.status, a.body)
	}
}

// testExpiry: 410 from the second of expirationDateTime on, always.
func (s *suite) testExpiry(t *testing.T) {
	url := "/v1/processes/" + briefName
	a := s.do(t, http.MethodPost, url, strings.NewReader(`{"input":{}}`), nil)
	if a.status != 200 {
		t.Fatalf("POST: status %d: %s", a.status, a.body)
	}
	expires, err := time.Parse(time.RFC3339, a.ExpirationDateTime)
	if err != nil {
		t.Fatal(err)
	}
	const skew = time.Second // between this machine's clock and the target's
	eventually(t, "the process has expired", func() bool {
		asked := time.Now()
		got := s.get(t, url+"/"+a.ProcessID)
		switch {
		case got.status == 200 && asked.After(expires.Add(skew)):
			t.Errorf("it is shown at %s, after %s", asked, expires)
		case got.status == 410 && time.Now().Before(expires.Add(-skew)):
			t.Errorf("it is 410 before %s", expires)
		case got.status != 200 && got.status != 410:
			t.Errorf("status %d: %s", got.status, got.body)
		}
		return got.status == 410
	})
	// The response must not depend on whether the object still exists.
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		for _, replica := range s.Replicas {
			want(t, s.send(t, s.request(t, replica, http.MethodGet, url+"/"+a.ProcessID, nil, nil)), 410, expired)
		}
		want(t, s.do(t, http.MethodDelete, url+"/"+a.ProcessID, nil, nil), 410, expired)
		<-time.After(250 * time.Millisecond)
	}
	want(t, s.get(t, path(a.ProcessID)), 404, notFound) // still another type's
}

// testTerminal: after a terminal state, every response is the same, byte for byte.
func (s *suite) testTerminal(t *testing.T) {
	for _, input := range []string{`{"any":[1.0, 2]}`, `{"echo":{"error":{"errorCode":"Odd","errorDetails":{"n":1.0}}}}`} {
		id := s.create(t, input).ProcessID
		first := s.finish(t, id)
		for range 20 {
			want(t, s.get(t, path(id)), 200, string(first.body))
		}
	}
}

// testETag: a client that has the current body gets 304.
func (s *suite) testETag(t *testing.T) {
	id := s.create(t, `{"echo":{"seconds":2}}`).ProcessID
	processing := s.get(t, path(id))
	tag := processing.header.Get("ETag")
	if processing.State != "processing" || tag == "" {
		t.Fatalf("ETag %q, %s", tag, processing.body)
	}
	complete := s.finish(t, id)
	if complete.header.Get("ETag") == tag {
		t.Error("the ETag is the same for another state")
	}
	tag = complete.header.Get("ETag")
	for sent, status := range map[string]int{
		tag: 304, `"other", ` + tag: 304, "W/" + tag: 304, "*": 304, `"other"`: 200, processing.header.Get("ETag"): 200, tag[1:]: 200,
	} {
		a := s.do(t, http.MethodGet, path(id), nil, header{{"If-None-Match", sent}})
		if a.status != status || (len(a.body) == 0) != (status == 304) || a.header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: status %d, want %d; ETag %s", sent, a.status, status, a.header.Get("ETag"))
		}
	}
}

// testWait: the response to Prefer: wait comes as soon as the state is terminal.
func (s *suite) testWait(t *testing.T) {
	t.Run("until the state is terminal", func(t *testing.T) {
		id := s.create(t, `{"echo":{"seconds":1}}`).ProcessID
		a := s.do(t, http.MethodGet, path(id), nil, header{{"Prefer", "respond-async, wait=60"}})
		if a.State != "complete" || a.header.Get("Preference-Applied") != "wait=60" {
			t.Errorf("Preference-Applied %q: %s", a.header.Get("Preference-Applied"), a.body)
		}
	})
	t.Run("until time is over", func(t *testing.T) {
		id := s.create(t, `{"echo":{"seconds":30}}`).ProcessID
		start := time.Now()
		a := s.do(t, http.MethodGet, path(id), nil, header{{"Prefer", "wait=2"}})
		if took := time.Since(start); a.State != "processing" || a.header.Get("Preference-Applied") != "wait=2" || took < 2*time.Second || took > 20*time.Second {
			t.Errorf("after %s, Preference-Applied %q: %s", took, a.header.Get("Preference-Applied"), a.body)
		}
		want(t, s.do(t, http.MethodDelete, path(id), nil, nil), 204, "")
	})
	t.Run("no longer than the most", func(t *testing.T) {
		id := s.create(t, `{}`).ProcessID
		s.finish(t, id)
		a := s.do(t, http.MethodGet, path(id), nil, header{{"Prefer", "wait=300"}})
		if a.State != "complete" || a.header.Get("Preference-Applied") != "wait=60" {
			t.Errorf("Preference-Applied %q: %s", a.header.Get("Preference-Applied"), a.body)
		}
	})
	t.Run("what is not a preference is ignored", func(t *testing.T) {
		id := s.create(t, `{"echo":{"seconds":30}}`).ProcessID
		for _, prefer := range []string{"wait=-1", "wait=soon", "wait", "return=minimal", "=", ","} {
			start := time.Now()
			a := s.do(t, http.MethodGet, path(id), nil, header{{"Prefer", prefer}})
			if a.status != 200 || a.header.Get("Preference-Applied") != "" || time.Since(start) > 20*time.Second {
				t.Errorf("Prefer: %s: status %d, Preference-Applied %q, after %s", prefer, a.status, a.header.Get("Preference-Applied"), time.Since(start))
			}
		}
		want(t, s.do(t, http.MethodDelete, path(id), nil, nil), 204, "")
	})
	t.Run("an unknown process", func(t *testing.T) {
		want(t, s.do(t, http.MethodGet, path("none"), nil, header{{"Prefer", "wait=60"}}), 404, notFound)
	})
}

// testWaitWithABody: a GET waits also if it has an empty or a short body.
func (s *suite) testWaitWithABody(t *testing.T) {
	for name, body := range map[string]io.Reader{"no body": nil, "empty, in chunks": io.LimitReader(strings.NewReader("x"), 0), "short": strings.NewReader("{}")} {
		id := s.create(t, `{"echo":{"seconds":1}}`).ProcessID
		a := s.do(t, http.MethodGet, path(id), body, header{{"Prefer", "wait=60"}})
		if a.status != 200 || a.State != "complete" || a.header.Get("Preference-Applied") != "wait=60" {
			t.Errorf("%s: status %d, Preference-Applied %q: %s", name, a.status, a.header.Get("Preference-Applied"), a.body)
		}
	}
}

// events returns the data of the events of a stream, which it reads to the end; none if the
// process has expired already. It calls first after the first event. A whole stream ends
// with an event of type end, which has no data.
func (s *suite) events(t *testing.T, path string, first func()) (events []string) {
	t.Helper()
	request := s.request(t, s.URL, http.MethodGet, path, nil, header{{"Accept", "text/event-stream"}})
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == 410 {
		return nil
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, Content-Type %q", response.StatusCode, response.Header.Get("Content-Type"))
	}
	lines, last := bufio.NewScanner(response.Body), ""
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "id: ") {
			last = ""
		}
		last += lines.Text() + "\n"
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if events = append(events, data); len(events) == 1 {
			first()
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ends with an error: %v", err)
	}
	if last != "id: end\nevent: end\ndata:\n\n" {
		t.Errorf("the last event is %q, want one of type end", last)
	}
	return events
}

// testEndOfEvents: the last event of a stream is what GET returns from then on.
func (s *suite) testEndOfEvents(t *testing.T) {
	for name, test := range map[string]struct {
		typeName, last string
		deleted        bool
	}{"deleted": {typeName, notFound, true}, "expired": {briefName, expired, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var url string
			var events []string
			eventually(t, "one lives long enough to be asked for", func() bool {
				a := s.do(t, http.MethodPost, "/v1/processes/"+test.typeName, strings.NewReader(`{"input":{"echo":{"seconds":60}}}`), nil)
				url = "/v1/processes/" + test.typeName + "/" + a.ProcessID
				events = s.events(t, url, func() {
					if test.deleted {
						want(t, s.do(t, http.MethodDelete, url, nil, nil), 204, "")
					}
				})
				return len(events) > 0
			})
			if len(events) < 2 || !strings.Contains(events[0], `"state":"processing"`) || events[len(events)-1] != test.last {
				t.Errorf("the events are %q, want the last to be %s", events, test.last)
			}
			// Other replicas learn of it a moment later.
			eventually(t, "GET says the same", func() bool { return string(s.get(t, url).body) == test.last })
		})
	}
}

// testEvents: the bodies of GET, as a stream.
func (s *suite) testEvents(t *testing.T) {
	id := s.create(t, `{"echo":{"seconds":2,"progress":[50]}}`).ProcessID
	events := s.events(t, path(id), func() {})
	last := s.get(t, path(id))
	if len(events) < 2 || !strings.Contains(events[0], `"state":"processing"`) || events[len(events)-1] != string(last.body) || last.State != "complete" {
		t.Errorf("the events are %q; GET says %s", events, last.body)
	}
	for _, last := range []string{"end", strings.Trim(s.get(t, path(id)).header.Get("ETag"), `"`)} { // so that an EventSource stops
		want(t, s.do(t, http.MethodGet, path(id), nil, header{{"Accept", "text/event-stream"}, {"Last-Event-ID", last}}), 204, "")
	}
	for _, accept := range []string{"*/*", "application/json", "text/event-stream;q=0", "text/*"} {
		want(t, s.do(t, http.MethodGet, path(id), nil, header{{"Accept", accept}}), 200, string(last.body))
	}
	want(t, s.do(t, http.MethodGet, path("none"), nil, header{{"Accept", "text/event-stream"}}), 404, notFound)
}
