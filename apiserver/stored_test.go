// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/internal/payload"
)

// large is an input that does not stay inline. It has spaces and a number that a decoder
// would change.
var large = `{"n": 1.0,  "text":"` + strings.Repeat("x", payload.MaxInlineBytes) + `"}`

var largeBody = `{"input":` + large + `}`

// mustPost creates a process with a large input and returns it as the API server has it.
func (f *facade) mustPost(header map[string]string) *v1alpha1.Process {
	f.Helper()
	got := f.do(http.MethodPost, "/v1/processes/echo", strings.NewReader(largeBody), header)
	if got.status != 200 || !strings.Contains(got.body, `"input":`+large+`}`) {
		f.Fatalf("POST: %d %.200s", got.status, got.body)
	}
	p := &v1alpha1.Process{}
	if err := f.live.Get(f.Context(), client.ObjectKey{Namespace: namespace, Name: f.idOf(got)}, p); err != nil {
		f.Fatal(err)
	}
	return p
}

// event returns the first event of a process.
func (f *facade) event(path string) string {
	f.Helper()
	s, got := f.stream(path), ""
	for !strings.HasSuffix(got, "\n\n") {
		line, err := s.lines.ReadString('\n')
		if got += line; err != nil {
			f.Fatalf("the stream ended (%v) after %.200q", err, got)
		}
	}
	_ = s.response.Body.Close()
	return got
}

// A large input is in the store and not in the Process, and every way to show it shows it
// byte for byte.
func TestLargeInputs(t *testing.T) {
	f := newFacade(t)
	p := f.mustPost(nil)
	if p.Spec.Input != "" || p.Spec.StoredInput.SHA256 != payload.SHA256([]byte(large)) {
		t.Fatalf("the Process has %d bytes inline and %+v", len(p.Spec.Input), p.Spec.StoredInput)
	}
	key := payload.Key(namespace, p.Name, p.Spec.StoredInput)
	if diff := cmp.Diff(map[string]string{key: large}, f.objects.Files()); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
	f.cache.Set(p)
	path := "/v1/processes/echo/" + p.Name
	for name, got := range map[string]string{
		"GET":  f.get(path).body,
		"list": f.get("/v1/processes/echo?include=input").body,
		"SSE":  f.event(path),
	} {
		if !strings.Contains(got, `"input":`+large+`}`) {
			t.Errorf("%s: %d bytes: %.200s", name, len(got), got)
		}
	}
	if got := f.get("/v1/processes/echo").body; strings.Contains(got, "input") {
		t.Errorf("a list without include has %d bytes", len(got))
	}

	finishedLarge := p.DeepCopy()
	finishedLarge.Status = v1alpha1.ProcessStatus{State: v1alpha1.StateComplete}
	stored, err := payload.Put(t.Context(), f.objects.Store, p, []byte(`{"out":`+large+`}`))
	if err != nil {
		t.Fatal(err)
	}
	finishedLarge.Status.StoredOutput = stored
	f.cache.Set(finishedLarge)
	if got := f.get(path).body; !strings.Contains(got, `"input":`+large+`,"output":{"out":`+large+`}}`) {
		t.Errorf("the finished process: %d bytes", len(got))
	}
	if got := f.get(path + "?include=output").body; strings.Contains(got, "input") || !strings.Contains(got, `"output":{"out":`+large+`}}`) {
		t.Errorf("its output alone: %d bytes", len(got))
	}
}

// While the store is away, everything works that needs no large payload.
func TestStoreIsAway(t *testing.T) {
	f := newFacade(t)
	p := f.mustPost(nil)
	f.cache.Set(p)
	path := "/v1/processes/echo/" + p.Name
	f.objects.Break()
	unavailable := func(name string, got response) {
		t.Helper()
		if got.status != 580 || got.body != `{"errorCode":"InternalError"}` || got.header.Get("Retry-After") != "5" {
			t.Errorf("%s: %d, Retry-After %q: %.200s", name, got.status, got.header.Get("Retry-After"), got.body)
		}
	}
	unavailable("POST", f.post("/v1/processes/echo", largeBody))
	unavailable("POST with a key", f.postKeyed(largeBody))
	unavailable("GET", f.get(path))
	unavailable("list", f.get("/v1/processes/echo?include=input"))
	if got := f.event(path); !strings.Contains(got, `data: {"errorCode":"InternalError"}`) {
		t.Errorf("SSE: %s", got)
	}
	for name, got := range map[string]response{
		"small POST":           f.post("/v1/processes/echo", `{"input":{}}`),
		"HEAD":                 f.do(http.MethodHead, path, nil, nil),
		"list":                 f.get("/v1/processes/echo"),
		"GET without payloads": f.get(path + "?include="),
	} {
		if got.status != 200 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := f.do(http.MethodHead, path, nil, nil); got.header.Get("Content-Length") == "" {
		t.Error("HEAD: no Content-Length")
	}
	f.objects.Repair()
	if got := f.get(path); got.status != 200 || !strings.Contains(got.body, large) {
		t.Errorf("GET when it is back: %d", got.status)
	}
	if got := f.postKeyed(`{"input":{}}`); got.status != 200 {
		t.Errorf("the key was not released: %d %s", got.status, got.body)
	}
}

// A payload that is damaged or gone is never shown.
func TestDamagedPayloads(t *testing.T) {
	for name, content := range map[string]string{
		"another byte": strings.Replace(large, "1.0", "2.0", 1),
		"too short":    large[:len(large)-1],
		"too long":     large + " ",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			p := f.mustPost(nil)
			f.cache.Set(p)
			f.objects.Overwrite(content)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/v1/processes/echo/"+p.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res, err := http.DefaultClient.Do(r); err == nil {
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err == nil {
					t.Errorf("the client gets %d bytes with %d as the whole", len(body), res.StatusCode)
				}
			}
			if log := f.log.String(); !strings.Contains(log, `"a payload in the store is damaged"`) || strings.Contains(log, "xxxx") {
				t.Errorf("the log is %s", log)
			}
		})
	}
	f := newFacade(t)
	p := f.mustPost(nil)
	f.cache.Set(p)
	if err := f.objects.Delete(t.Context(), payload.Key(namespace, p.Name, p.Spec.StoredInput)); err != nil {
		t.Fatal(err)
	}
	if got := f.get("/v1/processes/echo/" + p.Name); got.status != 580 || got.header.Get("Retry-After") != "" {
		t.Errorf("a payload that is gone: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
}

// No object is left over if its Process does not refer to it, in any of the ways in which a
// create can end.
func TestNoObjectIsLeftOver(t *testing.T) {
	f := newFacade(t)
	f.live.OnProcess = func(func() error) error {
		return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("processes").GroupResource(), "x", nil)
	}
	if got := f.post("/v1/processes/echo", largeBody); got.status == 200 {
		t.Errorf("the create was not refused: %d", got.status)
	}
	if files := f.objects.Files(); len(files) != 0 {
		t.Errorf("after a create that was refused: %v", slices.Collect(maps.Keys(files)))
	}
	f.live.OnProcess = nil
	keyed := map[string]string{"Idempotency-Key": "key"}
	if first, second := f.mustPost(keyed), f.mustPost(keyed); first.Name != second.Name {
		t.Errorf("one key, two processes: %s %s", first.Name, second.Name)
	}
	if files := f.objects.Files(); len(files) != 1 {
		t.Errorf("after two POSTs with one key: %v", slices.Collect(maps.Keys(files)))
	}
	// The answer to the first call is lost, so the create is sent again.
	lost := true
	f.live.OnProcess = func(create func() error) error {
		err := create()
		if lost {
			lost = false
			return errors.New("the connection broke")
		}
		return err
	}
	f.mustPost(nil)
	if files := f.objects.Files(); len(files) != 2 {
		t.Errorf("after a create that was sent twice: %v", slices.Collect(maps.Keys(files)))
	}
}

// Above a limit, a POST is refused with what is full. A process that expires or is deleted
// makes room.
func TestLimits(t *testing.T) {
	for name, test := range map[string]struct {
		limits processes.Limits
		body   string
		full   string
	}{
		"etcd":  {processes.Limits{Etcd: 10_000}, `{"input":{"a":"` + strings.Repeat("x", 3000) + `"}}`, "the cluster's storage of processes is full"},
		"store": {processes.Limits{Store: 50_000}, largeBody, "the store of large payloads is full"},

		"waiting": {processes.Limits{Waiting: 2}, `{"input":{}}`, "too many processes wait for a worker"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacadeWith(t, test.limits)
			var last *v1alpha1.Process
			accepted := 0
			refused := f.post("/v1/processes/echo", test.body)
			for ; refused.status == 200 && accepted < 10; refused = f.post("/v1/processes/echo", test.body) {
				accepted++
				last = &v1alpha1.Process{}
				if err := f.live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: f.idOf(refused)}, last); err != nil {
					t.Fatal(err)
				}
				f.cache.Set(last)
			}
			if accepted == 0 || accepted > 3 {
				t.Fatalf("%d are accepted: %+v", accepted, refused)
			}
			f.want(refused, 429, `{"errorCode":"TooManyRequests","errorDetails":{"message":"`+test.full+`"}}`)
			if got := refused.header.Get("Retry-After"); got != "10" {
				t.Errorf("Retry-After is %q", got)
			}
			if got := f.postKeyed(test.body); got.status != 429 {
				t.Errorf("with a key: %d", got.status)
			}
			f.cache.Set(last) // the same again counts once
			f.cache.Delete(last)
			if got := f.post("/v1/processes/echo", test.body); got.status != 200 {
				t.Errorf("when there is room: %d %s", got.status, got.body)
			}
			if got := f.post("/v1/processes/echo", `{"input":{}}`); got.status != 200 {
				t.Errorf("a small one: %d %s", got.status, got.body)
			}
		})
	}
}
