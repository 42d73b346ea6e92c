// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// aged adds to the informer a Process of type echo that was created some seconds after the
// epoch. The time is local, as after decoding.
func (f *facade) aged(name string, created int, change func(*v1alpha1.Process)) {
	f.known(name, func(p *v1alpha1.Process) {
		p.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(created) * time.Second).Local())
		change(p)
	})
}

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

// listable adds to the informer the Processes of TestList.
func (f *facade) listable() {
	// The oldest first; each expires a minute after its creation.
	f.aged("expired", -60, unchanged)
	f.aged("old", -30, func(p *v1alpha1.Process) {
		p.Status.State, p.Status.Output, p.Status.PercentComplete = v1alpha1.StateComplete, `{"o": 1.0}`, new(int32(100))
	})
	f.aged("kubectl", -25, func(p *v1alpha1.Process) { p.Spec.Input = "nonsense" })
	f.aged("tie-a", -20, func(p *v1alpha1.Process) { p.Status.PercentComplete = new(int32(40)) })
	f.aged("tie-b", -20, func(p *v1alpha1.Process) { p.Spec.Input = "" })
	f.aged("bad", -10, func(p *v1alpha1.Process) {
		p.Status.State, p.Status.ErrorCode, p.Status.ErrorDetails = v1alpha1.StateError, "AreaOutside", `{"page": 2}`
	})
	f.aged("new", 0, unchanged)
	f.aged("other", 0, func(p *v1alpha1.Process) { p.Spec.Type = "ocr" })
}

func TestList(t *testing.T) {
	const (
		start     = `{"processes":[`
		end       = `]}`
		fresh     = `{"processId":"new","state":"processing","expirationDateTime":"2026-05-06T07:09:09.000Z"`
		bad       = `{"processId":"bad","state":"error","expirationDateTime":"2026-05-06T07:08:59.000Z"`
		tieA      = `{"processId":"tie-a","state":"processing","expirationDateTime":"2026-05-06T07:08:49.000Z"`
		tieB      = `{"processId":"tie-b","state":"processing","expirationDateTime":"2026-05-06T07:08:49.000Z"`
		kubectl   = `{"processId":"kubectl","state":"processing","expirationDateTime":"2026-05-06T07:08:44.000Z"`
		old       = `{"processId":"old","state":"complete","expirationDateTime":"2026-05-06T07:08:39.000Z"`
		given     = `,"input":{"a": 1.0}`
		hundred   = `,"percentComplete":100`
		forty     = `,"percentComplete":40`
		why       = `,"errorCode":"AreaOutside","errorDetails":{"page": 2}`
		output    = `,"output":{"o": 1.0}`
		plain     = start + fresh + `},` + bad + why + `},` + tieB + `},` + tieA + forty + `},` + kubectl + `},` + old + hundred + `}` + end
		withInput = start + fresh + given + `},` + bad + given + why + `},` + tieB + `,"input":{}},` + tieA + given + forty + `},` +
			kubectl + `},` + old + given + hundred + `}` + end
		withOutput = start + fresh + `},` + bad + why + `},` + tieB + `},` + tieA + forty + `},` + kubectl + `},` + old + hundred + output + `}` + end
		withBoth   = start + fresh + given + `},` + bad + given + why + `},` + tieB + `,"input":{}},` + tieA + given + forty + `},` +
			kubectl + `},` + old + given + hundred + output + `}` + end
	)
	tests := map[string]struct{ path, want string }{
		"all":                      {"/v1/processes/echo", plain},
		"trailing slash":           {"/v1/processes/echo/", plain},
		"deprecated path":          {"/v4/processes/echo", plain},
		"limit not reached":        {"/v1/processes/echo?limit=500", plain},
		"limit just reached":       {"/v1/processes/echo?limit=6", plain},
		"empty query":              {"/v1/processes/echo?", plain},
		"input":                    {"/v1/processes/echo?include=input", withInput},
		"output":                   {"/v1/processes/echo?include=output", withOutput},
		"both":                     {"/v1/processes/echo?include=input,output", withBoth},
		"both, comma escaped":      {"/v1/processes/echo?include=output%2Cinput", withBoth},
		"one of them twice":        {"/v1/processes/echo?include=input,input", withInput},
		"processing":               {"/v1/processes/echo?state=processing", start + fresh + `},` + tieB + `},` + tieA + forty + `},` + kubectl + `}` + end},
		"complete":                 {"/v1/processes/echo?state=complete", start + old + hundred + `}` + end},
		"complete, with output":    {"/v1/processes/echo?include=output&state=complete", start + old + hundred + output + `}` + end},
		"in error":                 {"/v1/processes/echo?state=error", start + bad + why + `}` + end},
		"limit":                    {"/v1/processes/echo?limit=1", start + fresh + `}],"continue":"` + token(epoch, "new") + `"}`},
		"limit, within a tie":      {"/v1/processes/echo?limit=1&continue=" + token(epoch.Add(-10*time.Second), "bad"), start + tieB + `}],"continue":"` + token(epoch.Add(-20*time.Second), "tie-b") + `"}`},
		"limit and state":          {"/v1/processes/echo?state=processing&limit=1", start + fresh + `}],"continue":"` + token(epoch, "new") + `"}`},
		"limit and state, all":     {"/v1/processes/echo?state=error&limit=1", start + bad + why + `}` + end},
		"from where nothing is":    {"/v1/processes/echo?continue=" + token(epoch.Add(-20*time.Second), "tie-az"), start + tieA + forty + `},` + kubectl + `},` + old + hundred + `}` + end},
		"from behind all":          {"/v1/processes/echo?continue=" + token(epoch.Add(-time.Hour), "x"), start + end},
		"from before all":          {"/v1/processes/echo?continue=" + token(epoch.Add(time.Hour), "x"), plain},
		"type with one":            {"/v1/processes/ocr", start + `{"processId":"other","state":"processing",` + expires + `}` + end},
		"type with one, by alias":  {"/v1/processes/ocrReaders", start + `{"processId":"other","state":"processing",` + expires + `}` + end},
		"none of a state":          {"/v1/processes/ocr?state=error", start + end},
		"another type's continue":  {"/v1/processes/ocr?continue=" + token(epoch, "zzz"), start + `{"processId":"other","state":"processing",` + expires + `}` + end},
		"leading zeroes in limit":  {"/v1/processes/ocr?limit=0001", start + `{"processId":"other","state":"processing",` + expires + `}` + end},
		"parameter's name escaped": {"/v1/processes/echo?%73tate=error", start + bad + why + `}` + end},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.listable()
			got := f.get(tc.path)
			f.want(got, 200, tc.want)
			if etag, again := got.header.Get("ETag"), got.header.Get("Retry-After"); etag != "" || again != "" {
				t.Errorf("ETag %q, Retry-After %q, want none", etag, again)
			}
			head := f.do("HEAD", tc.path, nil, nil)
			f.want(head, 200, "")
			if head.header.Get("Content-Length") != got.header.Get("Content-Length") {
				t.Errorf("HEAD says %s bytes, GET %s", head.header.Get("Content-Length"), got.header.Get("Content-Length"))
			}
			if got := f.gets.Load(); got != 0 {
				t.Errorf("%d live reads, want none", got)
			}
		})
	}
}

// token returns the continue of the page behind a Process.
func token(created time.Time, name string) string {
	seconds := created.Unix()
	raw := make([]byte, 8, 8+len(name))
	for i := range raw {
		raw[i] = byte(seconds >> (8 * (7 - i)))
	}
	return base64.RawURLEncoding.EncodeToString(append(raw, name...))
}

func TestListIsRefused(t *testing.T) {
	wrong := func(at, expected string) string {
		return `{"errorCode":"InvalidInput","errorDetails":{"in":"query","at":"` + at + `","expected":` + expected + `}}`
	}
	unknown := func(at string) string {
		return `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"query","at":"` + at + `"}}`
	}
	state := wrong("state", `{"enum":["processing","complete","error"]}`)
	limit := wrong("limit", `{"type":"integer","minimum":1,"maximum":500}`)
	next := wrong("continue", `{"type":"string","description":"the continue of an earlier page"}`)
	include := wrong("include", `{"type":"array","items":{"enum":["input","output"]}}`)
	const query = `{"errorCode":"InvalidInput","errorDetails":{"in":"query"}}`
	encoded := func(raw string) string { return base64.RawURLEncoding.EncodeToString([]byte(raw)) }

	tests := map[string]struct {
		query string
		want  string
	}{
		"state unknown":               {"state=done", state},
		"state empty":                 {"state=", state},
		"state without value":         {"state", state},
		"state in capitals":           {"state=Complete", state},
		"several states":              {"state=complete,error", state},
		"state repeated":              {"state=complete&state=complete", state},
		"limit 0":                     {"limit=0", limit},
		"limit over the maximum":      {"limit=501", limit},
		"limit beyond 16 bits":        {"limit=65537", limit},
		"limit beyond 64 bits":        {"limit=18446744073709551617", limit},
		"limit negative":              {"limit=-1", limit},
		"limit with a plus":           {"limit=%2B5", limit},
		"limit with a space":          {"limit=+5", limit},
		"limit with a point":          {"limit=5.0", limit},
		"limit in hexadecimal":        {"limit=0x5", limit},
		"limit no number":             {"limit=all", limit},
		"limit empty":                 {"limit=", limit},
		"limit repeated":              {"limit=5&limit=6", limit},
		"continue empty":              {"continue=", next},
		"continue no base64":          {"continue=***", next},
		"continue padded":             {"continue=" + url.QueryEscape(base64.URLEncoding.EncodeToString([]byte("12345678abc"))), next},
		"continue of other alphabet":  {"continue=" + url.QueryEscape(base64.RawStdEncoding.EncodeToString([]byte("\xff\xff\xff\xff\xff\xff\xff\xffabcd"))), next},
		"continue with spare bits":    {"continue=" + encoded("12345678ab")[:13] + "3", next},
		"continue too short":          {"continue=" + encoded("1234567"), next},
		"continue without a name":     {"continue=" + encoded("12345678"), next},
		"continue with no name's":     {"continue=" + encoded("12345678A_b"), next},
		"continue with a long name":   {"continue=" + encoded("12345678"+strings.Repeat("a", 64)), next},
		"continue repeated":           {"continue=" + token(epoch, "a") + "&continue=" + token(epoch, "a"), next},
		"include unknown":             {"include=errorDetails", include},
		"include one that is unknown": {"include=input,x", include},
		"include empty":               {"include=", include},
		"include with an empty name":  {"include=input,", include},
		"include with a space":        {"include=input,+output", include},
		"include repeated":            {"include=input&include=output", include},
		"unknown":                     {"sort=asc", unknown("sort")},
		"unknown, empty value":        {"pretty", unknown("pretty")},
		"unknown, no plain name":      {"a+b=1", unknown(`[\"a b\"]`)},
		"unknown, empty name":         {"=1", unknown(`[\"\"]`)},
		"unknown, other case":         {"State=error", unknown("State")},
		"several, one known":          {"limit=0&sort=asc", limit},
		"several, first by name":      {"state=x&include=x&continue=&limit=0", next},
		"semicolon":                   {"limit=5;state=error", query},
		"broken escape":               {"limit=%zz", query},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.known("mine", unchanged)
			f.want(f.get("/v1/processes/echo?"+tc.query), 480, tc.want)
			f.want(f.do("HEAD", "/v1/processes/echo?"+tc.query, nil, nil), 480, "")
		})
	}
	t.Run("unknown type", func(t *testing.T) { // checked before the query
		f := newFacade(t)
		for _, path := range []string{"nope", "nope?limit=0", "Echo", "ocrreaders", "echo%20"} {
			f.want(f.get("/v1/processes/"+path), 404, notFound)
		}
	})
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
		"last of the page deleted":  {func(f *facade) { f.cache.OnDelete(echoProcess("e", unchanged)) }, []string{"d", "c", "b", "a"}},
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
		f.cache.OnDelete(echoProcess(name, unchanged))
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
