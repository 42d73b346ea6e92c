// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// testTimes: a body has the times of its process, as far as they are known.
func (s *suite) testTimes(t *testing.T) {
	created := s.create(t, `{"echo":{"seconds":3}}`)
	if created.StartedDateTime != "" || created.FinishedDateTime != "" {
		t.Errorf("a new process has the times %s", created.body)
	}
	var running answer
	eventually(t, "it has started", func() bool {
		running = s.get(t, path(created.ProcessID))
		return running.StartedDateTime != ""
	})
	if running.State != "processing" || running.FinishedDateTime != "" {
		t.Errorf("a running process is %s", running.body)
	}
	last := s.finish(t, created.ProcessID)
	times := []string{created.CreatedDateTime, running.StartedDateTime, last.FinishedDateTime, created.ExpirationDateTime}
	for _, each := range times {
		if !timePattern.MatchString(each) {
			t.Errorf("%q is not a time", each)
		}
	}
	if !slices.IsSorted(times) || last.CreatedDateTime != times[0] || last.StartedDateTime != times[1] {
		t.Errorf("the times are %v, and of the finished process %s", times, last.body)
	}
}

// testInclude: include selects the payloads of a GET, of a list and of events.
func (s *suite) testInclude(t *testing.T) {
	id := s.create(t, `{"any":"of include"}`).ProcessID
	whole := s.finish(t, id)
	for query, shown := range map[string]struct{ input, output bool }{
		"": {true, true}, "?include=input,output": {true, true}, "?include=input": {true, false}, "?include=output": {false, true}, "?include=": {},
	} {
		a := s.get(t, path(id)+query)
		if a.status != 200 || (a.Input != nil) != shown.input || (a.Output != nil) != shown.output || a.State != "complete" || a.FinishedDateTime == "" {
			t.Errorf("%q shows status %d: %s", query, a.status, a.body)
		}
		if (a.header.Get("ETag") == whole.header.Get("ETag")) != (string(a.body) == string(whole.body)) {
			t.Errorf("%q has the ETag %s, all payloads %s", query, a.header.Get("ETag"), whole.header.Get("ETag"))
		}
		if events := s.events(t, path(id)+query, func() {}); len(events) != 1 || events[0] != string(a.body) {
			t.Errorf("%q has the events %q, want %s", query, events, a.body)
		}
	}
	for query, shown := range map[string]struct{ input, output bool }{"include=input,output": {true, true}, "include=": {}} {
		for _, item := range s.listAll(t, query) {
			if item.ProcessID == id && ((item.Input != nil) != shown.input || (item.Output != nil) != shown.output) {
				t.Errorf("%q lists %+v", query, item)
			}
		}
	}
	want(t, s.get(t, path(id)+"?include=all"), 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"query","at":"include","expected":{"type":"array","items":{"enum":["input","output"]}}}}`)
}

// testLabels: a client's own references are returned, and lists can select by them.
func (s *suite) testLabels(t *testing.T) {
	invoice := strings.ToLower(strings.NewReplacer("/", "-", " ", "-").Replace(uniqueKey(t)))
	labelled := func(labels string, more ...[2]string) answer {
		t.Helper()
		return s.post(t, `{"input":{"any":1}}`, append(more, [2]string{"Process-Labels", labels})...)
	}
	first := labelled(`invoice="` + invoice + `", user="a b", copy=17, ratio=1.50, paid, draft=?0, kind=retail, name=%"f%c3%bcr"`)
	wanted := `{"copy":"17","draft":"false","invoice":"` + invoice + `","kind":"retail","name":"für","paid":"true","ratio":"1.5","user":"a b"}`
	if first.status != 200 || string(first.Labels) != wanted {
		t.Fatalf("status %d: %s, want the labels %s", first.status, first.body, wanted)
	}
	second := labelled(`invoice="` + invoice + `", user="c"`)
	if last := s.finish(t, first.ProcessID); string(last.Labels) != wanted {
		t.Errorf("GET says %s", last.body)
	}
	for query, ids := range map[string][]string{
		"label=invoice=" + invoice:                            {first.ProcessID, second.ProcessID},
		"label=invoice=" + invoice + "&label=user=a%20b":      {first.ProcessID},
		"label=invoice=" + invoice + "&label=user=":           nil,
		"label=invoice=" + invoice + "&label=name=f%C3%BCr":   {first.ProcessID},
		"label=invoice=" + invoice + "&label=none=17&limit=1": nil,
	} {
		eventually(t, "the list has the processes of "+query, func() bool {
			listed := map[string]bool{}
			for _, item := range s.list(t, query).Processes {
				listed[item.ProcessID] = true
			}
			wanted := map[string]bool{}
			for _, id := range ids {
				wanted[id] = true
			}
			return maps.Equal(listed, wanted)
		})
	}
	t.Run("with an idempotency key", func(t *testing.T) {
		key := [2]string{"Idempotency-Key", uniqueKey(t)}
		first := labelled("a=1", key)
		want(t, labelled("a=2", key), 200, string(first.body))
	})
	for name, labels := range map[string]string{
		"not a dictionary": `"a"`, "upper case": `Invoice=17`, "a list": `a=(1 2)`, "a parameter": `a=1;b`, "bytes": `a=:aGVsbG8=:`, "a date": `a=@1659578233`,
		"seventeen": `a=1, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q`, "a long value": `a="` + strings.Repeat("x", 257) + `"`, "a long name": strings.Repeat("a", 65) + "=1",
	} {
		if a := labelled(labels); a.status != 480 || !strings.HasPrefix(string(a.body), `{"errorCode":"InvalidInput","errorDetails":{"in":"header","at":"Process-Labels","expected":{`) {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
	for _, query := range []string{"label=", "label=invoice", "label==17", "label=a=1&label=a=2"} {
		if a := s.get(t, "/v1/processes/"+typeName+"?"+query); a.status != 480 {
			t.Errorf("%s: status %d: %s", query, a.status, a.body)
		}
	}
}

// testPostAndWait: Prefer: wait works on POST as on GET.
func (s *suite) testPostAndWait(t *testing.T) {
	post := func(input, prefer string) answer {
		t.Helper()
		return s.post(t, `{"input":`+input+`}`, [2]string{"Prefer", prefer})
	}
	a := post(`{"any":1.0}`, "wait=60")
	if a.status != 200 || a.State != "complete" || string(a.Output) != `{"any":1.0}` || a.header.Get("Preference-Applied") != "wait=60" || a.header.Get("Content-Location") != path(a.ProcessID) {
		t.Errorf("status %d, %v: %s", a.status, a.header, a.body)
	}
	want(t, s.get(t, path(a.ProcessID)), 200, string(a.body))
	if a := post(`{"echo":{"error":{"errorCode":"Odd"}}}`, "wait=60"); a.status != 200 || a.State != "error" || a.ErrorCode != "Odd" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	start := time.Now()
	a = post(`{"echo":{"seconds":60}}`, "wait=2")
	if took := time.Since(start); a.status != 200 || a.State != "processing" || a.header.Get("Preference-Applied") != "wait=2" || took < 2*time.Second {
		t.Errorf("after %s: status %d, %v: %s", took, a.status, a.header, a.body)
	}
	want(t, s.do(t, http.MethodDelete, path(a.ProcessID), nil, nil), 204, "")
}
