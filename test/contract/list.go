// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

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

// listAll reads all pages of a list.
func (s *suite) listAll(t *testing.T, query string) []process {
	t.Helper()
	var all []process
	for next := ""; ; {
		p := s.list(t, query+"&limit=500"+next)
		all = append(all, p.Processes...)
		if p.Continue == "" {
			return all
		}
		next = "&continue=" + url.QueryEscape(p.Continue)
	}
}

// containsAll reports whether a list has all ids.
func containsAll(listed []process, ids []string) bool {
	for _, id := range ids {
		if !slices.ContainsFunc(listed, func(p process) bool { return p.ProcessID == id }) {
			return false
		}
	}
	return true
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
		return containsAll(s.listAll(t, ""), append(slices.Collect(maps.Keys(ids)), running))
	})
	t.Run("pages", func(t *testing.T) {
		found, last := map[string]int{}, ""
		query := "limit=2"
		for {
			p := s.list(t, query)
			for _, item := range p.Processes {
				found[item.ProcessID]++
				if item.Input != nil || item.Output != nil {
					t.Errorf("a payload that was not requested: %+v", item)
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
		failed := s.create(t, `{"echo":{"error":{"errorCode":"OfTheList"}}}`).ProcessID
		s.finish(t, failed)
		for state, wanted := range map[string][]string{"processing": {running}, "complete": slices.Collect(maps.Keys(ids)), "error": {failed}} {
			var listed []process
			eventually(t, "the list has all processes of state "+state, func() bool {
				listed = s.listAll(t, "state="+state)
				return containsAll(listed, wanted)
			})
			for _, item := range listed {
				if item.State != state {
					t.Errorf("state=%s lists %+v", state, item)
				}
			}
		}
	})
	t.Run("with payloads", func(t *testing.T) {
		found := 0
		for _, item := range s.listAll(t, "include=input,output") {
			if !ids[item.ProcessID] {
				continue
			}
			if found++; string(item.Output) != string(item.Input) || !strings.Contains(string(item.Input), "of the list") {
				t.Errorf("input %s, output %s", item.Input, item.Output)
			}
		}
		if found != len(ids) {
			t.Errorf("%d of the processes are listed, want %d", found, len(ids))
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
			t.Fatal("there is only one page")
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
