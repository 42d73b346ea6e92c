// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/api/v1alpha1"
)

// listed is a list as a client reads it.
type listed struct {
	ids  []string
	next string // the continue, "" on the last page
}

// list reads one page.
func (f *facade) list(query string) listed {
	f.Helper()
	res := f.get("/v1/processes/echo?" + query)
	var page struct {
		Processes []struct {
			ProcessID string `json:"processId"`
		} `json:"processes"`
		Continue *string `json:"continue"`
	}
	if err := json.Unmarshal([]byte(res.body), &page); err != nil || res.status != 200 {
		f.Fatalf("%s: status %d, %v: %s", query, res.status, err, res.body)
	}
	got := listed{}
	for _, p := range page.Processes {
		got.ids = append(got.ids, p.ProcessID)
	}
	if page.Continue != nil {
		if got.next = *page.Continue; got.next == "" {
			f.Errorf("%s: continue is empty, not absent", query)
		}
	}
	return got
}

// listAll reads all pages. between, which can be nil, is called after each page except the
// last.
func (f *facade) listAll(query string, between func(page int, got []string)) []string {
	f.Helper()
	var all []string
	for page, next := 1, ""; ; page++ {
		q := query
		if next != "" {
			q += "&continue=" + url.QueryEscape(next)
		}
		got := f.list(q)
		all = append(all, got.ids...)
		if got.next == "" {
			return all
		}
		if next = got.next; between != nil {
			between(page, got.ids)
		}
		if page > 1000 {
			f.Fatal("the list does not end")
		}
	}
}

// Many processes, several in each second, in pages of different sizes: each process is listed
// once, in the same order.
func TestPagesHoldEveryProcessOnce(t *testing.T) {
	f := newFacade(t)
	const many = 137
	names := make([]string, 0, many)
	for i := range many {
		// Their names are in no order, and from second to second in another one.
		name := fmt.Sprintf("p%03d", i*89%many)
		names = append(names, name)
		f.aged(name, -i/9, func(p *v1alpha1.Process) {
			if i%2 == 0 {
				p.Status.State, p.Status.ErrorCode = v1alpha1.StateError, "Odd"
			}
		})
	}
	inError := func(name string) bool { return slices.Index(names, name)%2 == 0 }
	want := slices.Clone(names)
	slices.SortFunc(want, func(a, b string) int {
		if second := slices.Index(names, a)/9 - slices.Index(names, b)/9; second != 0 {
			return second // the newest first
		}
		return strings.Compare(b, a)
	})
	for _, limit := range []int{1, 2, 8, 9, 10, 50, 136, 137, 138, 500} {
		pages := 1
		got := f.listAll(fmt.Sprintf("limit=%d", limit), func(page int, got []string) {
			if pages = page + 1; len(got) != limit {
				t.Errorf("limit %d: page %d has %d", limit, page, len(got))
			}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
		if full := (many + limit - 1) / limit; pages != full {
			t.Errorf("limit %d: %d pages, want %d", limit, pages, full)
		}
	}
	if got := f.list(""); len(got.ids) != 50 || got.next == "" {
		t.Errorf("without a limit: %d processes, continue %q", len(got.ids), got.next)
	}
	errors := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return !inError(name) })
	if diff := cmp.Diff(errors, f.listAll("limit=7&state=error", nil)); diff != "" {
		t.Errorf("in error (-want +got):\n%s", diff)
	}
}

// Processes of one second are also listed in the order of their creation.
func TestListWithinASecond(t *testing.T) {
	f := newFacade(t)
	var want []string
	for range 50 {
		f.clock.Step(time.Millisecond)
		res := f.post("/v1/processes/echo", `{"input":{}}`)
		if res.status != 200 {
			t.Fatalf("status %d: %s", res.status, res.body)
		}
		id := res.header.Get("Content-Location")[len("/v1/processes/echo/"):]
		want = append(want, id)
		f.aged(id, 0, unchanged)
	}
	slices.Reverse(want)
	if diff := cmp.Diff(want, f.listAll("limit=7", nil)); diff != "" {
		t.Errorf("(-made, newest first +listed):\n%s", diff)
	}
}

// Changes between two pages repeat no process and hide no other process.
func TestPagesWhileProcessesChange(t *testing.T) {
	all := []string{"h", "g", "f", "e", "d", "c", "b", "a"} // h is the newest; f to c are of one second
	created := map[string]int{"h": -1, "g": -2, "f": -3, "e": -3, "d": -3, "c": -3, "b": -50, "a": -50}
	first := []string{"h", "g", "f", "e"}
	tests := map[string]struct {
		between func(f *facade)
		want    []string // of the second page and on
	}{
		"nothing":                   {func(*facade) {}, []string{"d", "c", "b", "a"}},
		"last of the page deleted":  {func(f *facade) { f.cache.Delete(echoProcess("e", unchanged)) }, []string{"d", "c", "b", "a"}},
		"whole page deleted":        {func(f *facade) { f.deleted(first...) }, []string{"d", "c", "b", "a"}},
		"next one deleted":          {func(f *facade) { f.deleted("d") }, []string{"c", "b", "a"}},
		"both sides deleted":        {func(f *facade) { f.deleted("f", "e", "d", "c") }, []string{"b", "a"}},
		"all the others deleted":    {func(f *facade) { f.deleted("d", "c", "b", "a") }, nil},
		"all deleted":               {func(f *facade) { f.deleted(all...) }, nil},
		"the oldest expire":         {func(f *facade) { f.clock.Step(10 * time.Second) }, []string{"d", "c"}},
		"the second expires":        {func(f *facade) { f.clock.Step(57 * time.Second) }, nil},
		"new ones":                  {func(f *facade) { f.aged("x", 0, unchanged); f.aged("y", -1, unchanged) }, []string{"d", "c", "b", "a"}},
		"new one behind":            {func(f *facade) { f.aged("dd", -3, unchanged) }, []string{"dd", "d", "c", "b", "a"}},
		"last of the page finishes": {func(f *facade) { f.aged("e", -3, finished) }, []string{"d", "c", "b", "a"}},
		"next one finishes":         {func(f *facade) { f.aged("d", -3, finished) }, []string{"d", "c", "b", "a"}},
		"type is deleted and created again": {func(f *facade) {
			f.unregister("echo")
			f.want(f.get("/v1/processes/echo"), 404, notFound)
			f.register("echo", 7, func(*v1alpha1.ProcessType) {})
		}, []string{"d", "c", "b", "a"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			for _, name := range all {
				f.aged(name, created[name], unchanged)
			}
			got := f.listAll("limit=4", func(page int, _ []string) {
				if page == 1 {
					tc.between(f)
				}
			})
			if diff := cmp.Diff(slices.Concat(first, tc.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// deleted lets the informer see that Processes are deleted.
func (f *facade) deleted(names ...string) {
	for _, name := range names {
		f.cache.Delete(echoProcess(name, unchanged))
	}
}

// finished makes a Process complete.
func finished(p *v1alpha1.Process) {
	p.Status.State, p.Status.Output = v1alpha1.StateComplete, `{"done": true}`
}

// A list does not contradict an earlier GET or DELETE.
func TestListAgreesWithWhatWasAnswered(t *testing.T) {
	f := newFacade(t)
	done := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
	f.stored(done, finished)
	if got := f.get("/v1/processes/echo/" + done); !strings.Contains(got.body, `"complete"`) {
		t.Fatalf("not complete: %s", got.body)
	}
	f.aged(done, 0, unchanged) // the informer is still one change behind
	f.want(f.get("/v1/processes/echo?state=processing"), 200, `{"processes":[]}`)
	f.want(f.get("/v1/processes/echo?include=output"), 200,
		`{"processes":[{"processId":"`+done+`","state":"complete",`+expires+`,"output":{"done": true}}]}`)

	f.stored("mine", unchanged)
	f.aged("mine", 1, unchanged)
	f.want(f.do("DELETE", "/v1/processes/echo/mine", nil, nil), 204, "")
	if got := f.list(""); !slices.Equal(got.ids, []string{done}) {
		t.Errorf("after the DELETE the list has %v", got.ids)
	}
}

// A page is full when it has 2 MiB, also below its limit.
func TestPageIsBoundedInBytes(t *testing.T) {
	const mib = 1 << 20
	long := `{"a":"` + strings.Repeat("x", mib-8) + `"}`
	for query, payload := range map[string]func(*v1alpha1.Process){
		"include=input":        func(p *v1alpha1.Process) { p.Spec.Input = long },
		"include=output":       func(p *v1alpha1.Process) { p.Status.State, p.Status.Output = v1alpha1.StateComplete, long },
		"include=input,output": func(p *v1alpha1.Process) { p.Spec.Input = long },
	} {
		t.Run(query, func(t *testing.T) {
			f := newFacade(t)
			want := []string{"p4", "p3", "p2", "p1", "p0"}
			for _, name := range want {
				f.aged(name, 0, payload)
			}
			got := f.listAll("limit=500&"+query, func(page int, got []string) {
				if len(got) != 2 {
					t.Errorf("page %d has %d processes, want 2", page, len(got))
				}
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := f.list("limit=500"); len(got.ids) != len(want) || got.next != "" {
				t.Errorf("without payloads: %d processes, continue %q", len(got.ids), got.next)
			}
		})
	}
}
