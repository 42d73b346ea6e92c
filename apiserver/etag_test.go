// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
)

func TestIfNoneMatch(t *testing.T) {
	const current = "{etag}" // is replaced by the ETag
	tests := map[string]struct {
		tags      []string
		unchanged bool
	}{
		"the tag":              {[]string{current}, true},
		"as weak":              {[]string{"W/" + current}, true},
		"white space":          {[]string{"  " + current + "\t"}, true},
		"in a list":            {[]string{`"x", ` + current + `,"y"`}, true},
		"in a list, weak":      {[]string{`W/"x",W/` + current}, true},
		"in a second header":   {[]string{`"x"`, current}, true},
		"empty list members":   {[]string{`,, ` + current}, true},
		"anything":             {[]string{"*"}, true},
		"none":                 {nil, false},
		"empty":                {[]string{""}, false},
		"another":              {[]string{`"0123456789abcdef"`}, false},
		"others":               {[]string{`"x", W/"y"`, `"z"`}, false},
		"small w":              {[]string{"w/" + current}, false},
		"without quotes":       {[]string{strings.Trim(current, `"`) + "x"}, false},
		"part of it":           {[]string{`"` + current}, false},
		"quoted star":          {[]string{`"*"`}, false},
		"two are not anything": {[]string{"**"}, false},
	}
	for name, tc := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(name+", "+method, func(t *testing.T) {
				f := newFacade(t)
				f.known("mine", unchanged)
				tag := f.get("/v1/processes/echo/mine").header.Get("ETag")
				if !regexp.MustCompile(`^"[0-9a-f]{16}"$`).MatchString(tag) {
					t.Errorf("the ETag is %s", tag)
				}
				header := http.Header{}
				for _, value := range tc.tags {
					header.Add("If-None-Match", strings.ReplaceAll(value, current, tag))
				}
				got, err := f.ask(t.Context(), method, "/v1/processes/echo/mine", header)
				if err != nil {
					t.Fatal(err)
				}
				status, body := 200, mineProcessing
				if tc.unchanged {
					status, body = 304, ""
				}
				if method == "HEAD" {
					body = ""
				}
				f.want(got, status, body)
				for name, want := range map[string]string{"ETag": tag, "Retry-After": "1", "Vary": "Accept, Prefer", "Cache-Control": "private, no-cache"} {
					if got := got.header.Get(name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			})
		}
	}
}

// Different bodies have different ETags. The same body has the same ETag, on every replica
// and in every response.
func TestETag(t *testing.T) {
	f, replica := newFacade(t), newFacade(t)
	seen := map[string]string{} // ETag → body
	for _, p := range []*v1alpha1.Process{
		echoProcess("mine", unchanged),
		echoProcess("mine", progress(0)),
		echoProcess("mine", progress(40)),
		echoProcess("mine", progress(100)),
		echoProcess("mine", finished),
		echoProcess("mine", func(p *v1alpha1.Process) { finished(p); progress(100)(p) }),
		echoProcess("mine", workerFailed),
		echoProcess("other", unchanged),
		echoProcess("other", finished),
		// It was created again with kubectl.
		echoProcess("mine", func(p *v1alpha1.Process) { p.UID, p.Spec.Input = types.UID("uid-2"), `{"b":2}` }),
	} {
		path := "/v1/processes/echo/" + p.Name
		f.cache.Set(p)
		replica.known(p.Name, func(other *v1alpha1.Process) { p.DeepCopyInto(other); other.ResourceVersion = "7" })
		got, there := f.get(path), replica.get(path)
		f.want(there, got.status, got.body)
		tag := got.header.Get("ETag")
		if other, ok := seen[tag]; ok {
			t.Errorf("one ETag for two bodies:\n%s\n%s", got.body, other)
		}
		seen[tag] = got.body
		for _, again := range []response{f.get(path), there, f.get("/v4/processes/echo/" + p.Name + "/"), f.do("HEAD", path, nil, nil)} {
			if again.header.Get("ETag") != tag {
				t.Errorf("ETags %s and %s for one body %s", tag, again.header.Get("ETag"), got.body)
			}
		}
		unfinished := map[bool]string{true: "1"}[!p.Finished()]
		if same := f.getWith(path, "If-None-Match", tag); same.status != 304 || same.header.Get("Retry-After") != unfinished {
			t.Errorf("status %d, Retry-After %q for the current ETag of %s", same.status, same.header.Get("Retry-After"), got.body)
		}
	}
}

// A process that is deleted or has expired is never 304.
func TestETagOfWhatIsGone(t *testing.T) {
	f := newFacade(t)
	f.known("mine", finished)
	f.known("deleted", finished)
	f.stored("deleted", finished)
	tag := f.get("/v1/processes/echo/mine").header.Get("ETag")
	f.want(f.do("DELETE", "/v1/processes/echo/deleted", nil, nil), 204, "")
	for _, have := range []string{tag, "*"} {
		f.want(f.getWith("/v1/processes/echo/deleted", "If-None-Match", have), 404, notFound)
		f.want(f.getWith("/v1/processes/echo/none", "If-None-Match", have), 404, notFound)
		f.want(f.getWith("/v1/processes/ocr/mine", "If-None-Match", have), 404, notFound)
	}
	f.clock.Step(time.Minute)
	got := f.getWith("/v1/processes/echo/mine", "If-None-Match", tag)
	f.want(got, 410, expired)
	if got.header.Get("ETag") != "" {
		t.Errorf("the 410 has the ETag %s", got.header.Get("ETag"))
	}
}

func TestETagDoesNotDependOnTheClock(t *testing.T) {
	f := newFacade(t)
	f.known("mine", func(p *v1alpha1.Process) { hour(p); p.CreationTimestamp = metav1.NewTime(epoch.Local()) })
	tag := f.get("/v1/processes/echo/mine").header.Get("ETag")
	f.clock.Step(time.Minute)
	if again := f.get("/v1/processes/echo/mine").header.Get("ETag"); again != tag {
		t.Errorf("ETag %s, a minute later %s", tag, again)
	}
}
