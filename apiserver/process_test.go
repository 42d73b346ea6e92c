package apiserver_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"procman.dev/procman/api/v1alpha1"
)

const (
	notFound = `{"errorCode":"ResourceNotFound"}`
	expired  = `{"errorCode":"ResourceExpired"}`
	failed   = `{"errorCode":"InternalError"}`
	expires  = `"expirationDateTime":"2026-05-06T07:09:09.000Z"`
)

// Every row of the contract's table of GET, and every form of its 200.
func TestGet(t *testing.T) {
	const made = "given" // stands for an id that the facade gave out
	tests := map[string]struct {
		name    string
		change  func(*v1alpha1.Process)
		nowhere bool   // the process is not there
		path    string // the process's own when ""; {id} stands for its id
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
		"made by kubectl without an input": {
			name: "mine", change: func(p *v1alpha1.Process) { p.Spec.Input = "" }, status: 200,
			body: `{"processId":"mine","state":"processing",` + expires + `,"input":{}}`,
		},
		"made by kubectl with nonsense": {
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
				id = f.ring.New("echo", epoch.Add(time.Minute))
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

// The informer may be behind: what POST has acknowledged, GET knows at once.
func TestGetRightAfterPost(t *testing.T) {
	f := newFacade(t)
	created := f.post("/v1/processes/echo", `{"input":{"a": 1.0}}`)
	f.want(f.get("/v1/processes/echo/"+f.idOf(created)), 200, created.body)
	if got := f.gets.Load(); got != 1 {
		t.Errorf("%d live reads, want 1", got)
	}
}

func TestMadeUpIdsCostTheAPIServerNothing(t *testing.T) {
	f := newFacade(t)
	other := f.ring.New("ocr", epoch.Add(time.Minute))
	past := f.ring.New("echo", epoch.Add(-time.Minute))
	for _, id := range []string{"x", strings.Repeat("a", 40), other, past, "A", strings.Repeat("é", 20)} {
		f.get("/v1/processes/echo/" + id)
	}
	if got := f.gets.Load(); got != 0 {
		t.Errorf("%d live reads, want none", got)
	}
}

func TestLiveReadFails(t *testing.T) {
	id := func(f *facade) string { return f.ring.New("echo", epoch.Add(time.Minute)) }
	t.Run("ours", func(t *testing.T) {
		f := newFacade(t)
		f.onGet = func() error { return errors.New("etcd at 10.0.0.1 is on fire") }
		got := f.do("GET", "/v1/processes/echo/"+id(f), nil, map[string]string{"X-Request-Id": "r1"})
		f.want(got, 580, failed)
		if log := f.log.String(); !strings.Contains(log, "on fire") || !strings.Contains(log, `"requestID":"r1"`) {
			t.Errorf("the log lacks the cause:\n%s", log)
		}
	})
	t.Run("overload", func(t *testing.T) {
		f := newFacade(t)
		f.onGet = func() error { return apierrors.NewTooManyRequests("busy", 7) }
		got := f.get("/v1/processes/echo/" + id(f))
		f.want(got, 429, `{"errorCode":"TooManyRequests"}`)
		if got.header.Get("Retry-After") != "7" {
			t.Errorf("Retry-After is %q, want 7", got.header.Get("Retry-After"))
		}
	})
}

// A live read sees the result before the informer does; from then on it stays.
func TestTerminalMeansTerminal(t *testing.T) {
	f := newFacade(t)
	id := f.ring.New("echo", epoch.Add(time.Minute))
	done := func(p *v1alpha1.Process) { p.Status.State, p.Status.Output = v1alpha1.StateComplete, `{}` }
	stored := f.stored(id, done)
	path := "/v1/processes/echo/" + id
	first := f.get(path)
	f.known(id, unchanged) // the informer catches up, half
	f.want(f.get(path), 200, first.body)

	f.cache.OnUpdate(nil, stored) // and then wholly
	f.want(f.get(path), 200, first.body)
	f.clock.Step(time.Minute)
	f.want(f.get(path), 410, expired)
}

// A type that is no longer registered takes nothing from those who have an id.
func TestProcessesOutliveTheirType(t *testing.T) {
	f := newFacade(t)
	id := f.ring.New("echo", epoch.Add(time.Minute))
	f.known(id, finished)
	path := "/v1/processes/echo/" + id
	before := f.get(path)
	gone := &v1alpha1.ProcessType{}
	gone.Name = "echo"
	f.types.OnDelete(gone)
	f.want(f.get(path), 200, before.body)
	f.want(f.get("/v1/processes/ocr/"+id), 404, notFound)
	f.want(f.get("/v1/processes/none/"+id), 404, notFound)
	f.want(f.post("/v1/processes/echo", `{"input":{}}`), 480,
		`{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":["ocr","ocrReaders"]}}}`)
	f.clock.Step(time.Minute)
	f.want(f.get(path), 410, `{"errorCode":"ResourceExpired"}`)
	f.gone(id)
	f.want(f.get(path), 410, `{"errorCode":"ResourceExpired"}`)
}
