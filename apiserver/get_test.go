// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
)

const (
	notFound = `{"errorCode":"ResourceNotFound"}`
	expired  = `{"errorCode":"ResourceExpired"}`
	failed   = `{"errorCode":"InternalError"}`
	expires  = `"expirationDateTime":"2026-05-06T07:09:09.000Z","createdDateTime":"2026-05-06T07:08:09.000Z"`
)

// Every row of the contract's table of GET, and every form of its 200.
func TestGet(t *testing.T) {
	const made = "given" // is replaced by an id that the facade gave out
	tests := map[string]struct {
		name    string
		change  func(*v1alpha1.Process)
		nowhere bool   // the process is not there
		path    string // the process's own when ""; {id} is replaced by its id
		after   time.Duration
		status  int
		body    string
	}{
		"processing": {
			name: "mine", status: 200,
			body: `{"processId":"mine","state":"processing",` + expires + `,"input":{"a": 1.0}}`,
		},
		"progress": {
			name: "mine", change: func(p *v1alpha1.Process) { p.Status.PercentComplete = new(int32(40)) }, status: 200,
			body: `{"processId":"mine","state":"processing",` + expires + `,"input":{"a": 1.0},"percentComplete":40}`,
		},
		"complete": {
			name: "mine", change: func(p *v1alpha1.Process) {
				p.Status.State, p.Status.Output = v1alpha1.StateComplete, `{"z": 12345678901234567890, "a": 1.0,"<": "\u00e9"}`
			}, status: 200,
			body: `{"processId":"mine","state":"complete",` + expires + `,"input":{"a": 1.0},"output":{"z": 12345678901234567890, "a": 1.0,"<": "\u00e9"}}`,
		},
		"error": {
			name: "mine", change: func(p *v1alpha1.Process) {
				p.Status.State, p.Status.ErrorCode = v1alpha1.StateError, "InvalidInput"
			}, status: 200,
			body: `{"processId":"mine","state":"error",` + expires + `,"input":{"a": 1.0},"errorCode":"InvalidInput"}`,
		},
		"error with details": {
			name: "mine", change: func(p *v1alpha1.Process) {
				p.Status.State, p.Status.ErrorCode, p.Status.ErrorDetails = v1alpha1.StateError, "AreaOutside", `{"page": 2}`
			}, status: 200,
			body: `{"processId":"mine","state":"error",` + expires + `,"input":{"a": 1.0},"errorCode":"AreaOutside","errorDetails":{"page": 2}}`,
		},
		"created with kubectl without an input": {
			name: "mine", change: func(p *v1alpha1.Process) { p.Spec.Input = "" }, status: 200,
			body: `{"processId":"mine","state":"processing",` + expires + `,"input":{}}`,
		},
		"created with kubectl with text that is not JSON": {
			name: "mine", change: func(p *v1alpha1.Process) { p.Spec.Input = `nonsense` }, status: 200,
			body: `{"processId":"mine","state":"processing",` + expires + `}`,
		},
		"last second":             {name: "mine", after: 59749 * time.Millisecond, status: 200, body: `{"processId":"mine","state":"processing",` + expires + `,"input":{"a": 1.0}}`},
		"trailing slash":          {name: "mine", path: "/v1/processes/echo/{id}/", status: 200, body: `{"processId":"mine","state":"processing",` + expires + `,"input":{"a": 1.0}}`},
		"expired, still there":    {name: "mine", after: 59750 * time.Millisecond, status: 410, body: expired},
		"expired, gone":           {name: made, nowhere: true, after: time.Hour, status: 410, body: expired},
		"gone in the last moment": {name: made, nowhere: true, after: 58 * time.Second, status: 410, body: expired},
		"deleted before expiry":   {name: made, nowhere: true, status: 404, body: notFound},
		"never existed":           {name: "mine", nowhere: true, status: 404, body: notFound},
		"made up":                 {name: strings.Repeat("a", 40), nowhere: true, status: 404, body: notFound},
		"no id at all":            {name: "-A_b", nowhere: true, status: 404, body: notFound},
		"too long for an id":      {name: strings.Repeat("a", 64), nowhere: true, status: 404, body: notFound},
		"another type's":          {name: "mine", path: "/v1/processes/ocr/{id}", status: 404, body: notFound},
		"another type's, expired": {name: "mine", path: "/v1/processes/ocr/{id}", after: time.Hour, status: 404, body: notFound},
		"another type's, gone":    {name: made, nowhere: true, path: "/v1/processes/ocr/{id}", after: time.Hour, status: 404, body: notFound},
		"unknown type":            {name: "mine", path: "/v1/processes/nope/{id}", status: 404, body: notFound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			id := tc.name
			if id == made {
				id = f.ring.New(namespace, "echo", epoch.Add(time.Minute))
			}
			if !tc.nowhere {
				f.known(id, func(p *v1alpha1.Process) {
					if tc.change != nil {
						tc.change(p)
					}
				})
			}
			f.clock.Step(tc.after)
			path := tc.path
			if path == "" {
				path = "/v1/processes/echo/{id}"
			}
			got := f.get(strings.ReplaceAll(path, "{id}", id))
			f.want(got, tc.status, tc.body)
			if want := strings.Contains(tc.body, `"processing"`); (got.header.Get("Retry-After") == "1") != want {
				t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
			}
		})
	}
}

func TestHead(t *testing.T) {
	f := newFacade(t)
	f.known("mine", unchanged)
	got, whole := f.do("HEAD", "/v1/processes/echo/mine", nil, nil), f.get("/v1/processes/echo/mine")
	f.want(got, 200, "")
	if got.header.Get("Content-Length") != whole.header.Get("Content-Length") {
		t.Errorf("Content-Length %q, want %q", got.header.Get("Content-Length"), whole.header.Get("Content-Length"))
	}
	f.want(f.do("HEAD", "/v1/processes/echo/none", nil, nil), 404, "")
}

func TestTypeByAnyOfItsNames(t *testing.T) {
	f := newFacade(t)
	f.known("mine", func(p *v1alpha1.Process) { p.Spec.Type = "ocr" })
	byName := f.get("/v1/processes/ocr/mine")
	f.want(f.get("/v1/processes/ocrReaders/mine"), 200, byName.body)
	f.want(f.get("/v1/processes/ocrreaders/mine"), 404, notFound)
}

// The informer can be behind: GET finds a process as soon as POST has returned it.
func TestGetRightAfterPost(t *testing.T) {
	f := newFacade(t)
	created := f.post("/v1/processes/echo", `{"input":{"a": 1.0}}`)
	f.want(f.get("/v1/processes/echo/"+f.idOf(created)), 200, created.body)
	if got := f.live.Gets.Load(); got != 1 {
		t.Errorf("%d live reads, want 1", got)
	}
}

func TestInventedIDsCauseNoLiveRead(t *testing.T) {
	f := newFacade(t)
	other := f.ring.New(namespace, "ocr", epoch.Add(time.Minute))
	past := f.ring.New(namespace, "echo", epoch.Add(-time.Minute))
	for _, id := range []string{"x", strings.Repeat("a", 40), other, past, "A", strings.Repeat("é", 20)} {
		f.get("/v1/processes/echo/" + id)
	}
	if got := f.live.Gets.Load(); got != 0 {
		t.Errorf("%d live reads, want none", got)
	}
}

func TestLiveReadFails(t *testing.T) {
	id := func(f *facade) string { return f.ring.New(namespace, "echo", epoch.Add(time.Minute)) }
	t.Run("ours", func(t *testing.T) {
		f := newFacade(t)
		f.live.OnGet = func() error { return errors.New("etcd at 10.0.0.1 is on fire") }
		got := f.do("GET", "/v1/processes/echo/"+id(f), nil, map[string]string{"X-Request-Id": "r1"})
		f.want(got, 580, failed)
		if log := f.log.String(); !strings.Contains(log, "on fire") || !strings.Contains(log, `"requestID":"r1"`) {
			t.Errorf("the log does not have the cause:\n%s", log)
		}
	})
	t.Run("overload", func(t *testing.T) {
		f := newFacade(t)
		f.live.OnGet = func() error { return apierrors.NewTooManyRequests("busy", 7) }
		got := f.get("/v1/processes/echo/" + id(f))
		f.want(got, 429, `{"errorCode":"TooManyRequests"}`)
		if got.header.Get("Retry-After") != "7" {
			t.Errorf("Retry-After is %q, want 7", got.header.Get("Retry-After"))
		}
	})
}

// A live read gets the result before the informer. From then on every GET returns it.
func TestTerminalMeansTerminal(t *testing.T) {
	f := newFacade(t)
	id := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
	done := func(p *v1alpha1.Process) { p.Status.State, p.Status.Output = v1alpha1.StateComplete, `{}` }
	stored := f.stored(id, done)
	path := "/v1/processes/echo/" + id
	first := f.get(path)
	f.known(id, unchanged) // the informer is still one change behind
	f.want(f.get(path), 200, first.body)

	f.cache.Set(stored) // and then knows all
	f.want(f.get(path), 200, first.body)
	f.clock.Step(time.Minute)
	f.want(f.get(path), 410, expired)
}

// The processes of a type that was deleted can still be read.
func TestProcessesOutliveTheirType(t *testing.T) {
	f := newFacade(t)
	id := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
	f.known(id, finished)
	path := "/v1/processes/echo/" + id
	before := f.get(path)
	f.unregister("echo")
	f.want(f.get(path), 200, before.body)
	f.want(f.get("/v1/processes/ocr/"+id), 404, notFound)
	f.want(f.get("/v1/processes/none/"+id), 404, notFound)
	f.want(f.post("/v1/processes/echo", `{"input":{}}`), 480,
		`{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":["ocr","ocrReaders"]}}}`)
	f.clock.Step(time.Minute)
	f.want(f.get(path), 410, `{"errorCode":"ResourceExpired"}`)
	f.deleted(id)
	f.want(f.get(path), 410, `{"errorCode":"ResourceExpired"}`)
}

// trimmed applies the transform of the informer to a Process.
func trimmed(p *v1alpha1.Process) *v1alpha1.Process {
	p = p.DeepCopy()
	payload.Policy(payload.KeepSmall).Trim(p)
	return p
}

// storedAndKnown adds a Process to the API server and, trimmed, to the informer.
func (f *facade) storedAndKnown(name string, change func(*v1alpha1.Process)) {
	f.Helper()
	f.cache.Set(trimmed(f.stored(name, change)))
}

func TestLargePayloadsAreReadLive(t *testing.T) {
	long := `{"a": "` + strings.Repeat("x", 20_000) + `"}`
	const small = `{"a": 1.0}`
	prefix := func(state string) string { return `{"processId":"mine","state":"` + state + `",` + expires }
	for name, tc := range map[string]struct {
		change            func(*v1alpha1.Process)
		body, item        string // as GET and as the list show it
		listRead, allRead int32  // live reads of the list, and of the list with all payloads
	}{
		"input": {
			change: func(p *v1alpha1.Process) { p.Spec.Input = long },
			body:   prefix("processing") + `,"input":` + long + `}`, item: prefix("processing") + `}`, allRead: 1,
		},
		"output": {
			change: func(p *v1alpha1.Process) { p.Status.State, p.Status.Output = v1alpha1.StateComplete, long },
			body:   prefix("complete") + `,"input":` + small + `,"output":` + long + `}`, item: prefix("complete") + `}`, allRead: 1,
		},
		"details": {
			change: func(p *v1alpha1.Process) {
				p.Status.State, p.Status.ErrorCode, p.Status.ErrorDetails = v1alpha1.StateError, "No", long
			},
			body: prefix("error") + `,"input":` + small + `,"errorCode":"No","errorDetails":` + long + `}`,
			item: prefix("error") + `,"errorCode":"No","errorDetails":` + long + `}`, listRead: 1, allRead: 1,
		},
		"not JSON, created with kubectl": {
			change: func(p *v1alpha1.Process) { p.Spec.Input = long[1:] },
			body:   prefix("processing") + `}`, item: prefix("processing") + `}`, allRead: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.storedAndKnown("mine", tc.change)
			read := func(path string, header map[string]string, status int, body string, reads int32) response {
				t.Helper()
				before := f.live.Gets.Load()
				got := f.do("GET", path, nil, header)
				f.want(got, status, body)
				if n := f.live.Gets.Load() - before; n != reads {
					t.Errorf("GET %s %v: %d live reads, want %d", path, header, n, reads)
				}
				return got
			}
			got := read("/v1/processes/echo/mine", nil, 200, tc.body, 1)
			before := f.live.Gets.Load()
			if again := f.getWith("/v1/processes/echo/mine", "If-None-Match", got.header.Get("ETag")); again.status != 304 || f.live.Gets.Load() != before {
				t.Errorf("unchanged, it is %d after %d live reads", again.status, f.live.Gets.Load()-before)
			}
			read("/v1/processes/echo/mine", map[string]string{"Prefer": "wait=0"}, 200, tc.body, 1)
			read("/v1/processes/echo/mine?include=", nil, 200, tc.item, tc.listRead)
			read("/v1/processes/echo", nil, 200, `{"processes":[`+tc.item+`]}`, tc.listRead)
			read("/v1/processes/echo?include=input,output", nil, 200, `{"processes":[`+tc.body+`]}`, tc.allRead)
		})
	}
}

// A Process whose payload is read live can have changed, or be deleted, by then.
func TestLargePayloadOfAChangedProcess(t *testing.T) {
	long := func(p *v1alpha1.Process) { p.Spec.Input = `{"a": "` + strings.Repeat("x", 20_000) + `"}` }
	f := newFacade(t)
	f.storedAndKnown("mine", long)
	before := f.do("HEAD", "/v1/processes/echo/mine", nil, nil)
	p := &v1alpha1.Process{}
	if err := f.live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "mine"}, p); err != nil {
		t.Fatal(err)
	}
	finished(p)
	if err := f.live.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	f.want(f.get("/v1/processes/echo?include=input&state=processing"), 200, `{"processes":[]}`)
	got := f.get("/v1/processes/echo/mine")
	if !strings.Contains(got.body, `"output":{"done": true}`) || got.header.Get("ETag") == before.header.Get("ETag") || got.header.Get("Retry-After") != "" {
		t.Errorf("finished, it is %d %v\n%s", got.status, got.header, got.body)
	}
	if err := f.live.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	f.want(f.get("/v1/processes/echo/mine"), 404, notFound)
	f.want(f.get("/v1/processes/echo?include=input"), 200, `{"processes":[]}`)
	f.clock.Step(58 * time.Second)
	f.want(f.get("/v1/processes/echo/mine"), 410, expired)
}

// An id whose process was deleted through another replica causes no live read, unless an
// Idempotency-Key can create it again.
func TestDeletedProcessesCauseNoLiveRead(t *testing.T) {
	for key, want := range map[string]int32{"": 0, "procman-key-a": 3} {
		f := newFacade(t)
		id := f.ring.New(namespace, "echo", epoch.Add(time.Minute))
		p := echoProcess(id, unchanged)
		if key != "" {
			p.Annotations = map[string]string{v1alpha1.AnnotationIdempotencyKey: key}
		}
		f.cache.Set(p)
		f.cache.Delete(p)
		for range 3 {
			f.want(f.get("/v1/processes/echo/"+id), 404, notFound)
		}
		if got := f.live.Gets.Load(); got != want {
			t.Errorf("with key %q: %d live reads, want %d", key, got, want)
		}
		f.cache.Set(p) // after a broken watch, a delete can come before the add
		if got := f.get("/v1/processes/echo/" + id); got.status != 200 {
			t.Errorf("it exists again, but GET returns %d", got.status)
		}
	}
}
