// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
)

// aged adds to the informer a Process of type echo that was created some seconds after the
// epoch. The time is local, as after decoding.
func (f *facade) aged(name string, created int, change func(*v1alpha1.Process)) {
	f.known(name, func(p *v1alpha1.Process) {
		p.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(created) * time.Second).Local())
		change(p)
	})
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
		fresh     = `{"processId":"new","state":"processing","expirationDateTime":"2026-05-06T07:09:09.000Z","createdDateTime":"2026-05-06T07:08:09.000Z"`
		bad       = `{"processId":"bad","state":"error","expirationDateTime":"2026-05-06T07:08:59.000Z","createdDateTime":"2026-05-06T07:07:59.000Z"`
		tieA      = `{"processId":"tie-a","state":"processing","expirationDateTime":"2026-05-06T07:08:49.000Z","createdDateTime":"2026-05-06T07:07:49.000Z"`
		tieB      = `{"processId":"tie-b","state":"processing","expirationDateTime":"2026-05-06T07:08:49.000Z","createdDateTime":"2026-05-06T07:07:49.000Z"`
		kubectl   = `{"processId":"kubectl","state":"processing","expirationDateTime":"2026-05-06T07:08:44.000Z","createdDateTime":"2026-05-06T07:07:44.000Z"`
		old       = `{"processId":"old","state":"complete","expirationDateTime":"2026-05-06T07:08:39.000Z","createdDateTime":"2026-05-06T07:07:39.000Z"`
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
		"none of them":             {"/v1/processes/echo?include=", plain},
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
			if got := f.live.Gets.Load(); got != 0 {
				t.Errorf("%d live reads, want none", got)
			}
		})
	}
}

// token returns the continue of the page behind a Process.
func token(created time.Time, name string) string {
	return processes.Position{Created: created, Name: name}.Token()
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
	label := wrong("label", `{"type":"string","description":"name=value, such as invoice=17; each name once"}`)
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
		"include with an empty name":  {"include=input,", include},
		"include with a space":        {"include=input,+output", include},
		"include repeated":            {"include=input&include=output", include},
		"label empty":                 {"label=", label},
		"label without a value":       {"label=invoice", label},
		"label without a name":        {"label==17", label},
		"label twice":                 {"label=a=1&label=a=1", label},
		"seventeen labels":            {strings.Repeat("label=a=1&", 16) + "label=b=1", label},
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
	t.Run("unknown type", func(t *testing.T) {
		f := newFacade(t)
		for _, path := range []string{"nope", "Echo", "ocrreaders", "echo%20"} {
			f.want(f.get("/v1/processes/"+path), 404, notFound)
		}
	})
}
