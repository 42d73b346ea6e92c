package apiserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// Every row of the contract's table of POST that is about the request.
func TestPostIsRefused(t *testing.T) {
	refused := func(code, details string) string {
		return `{"errorCode":"` + code + `","errorDetails":` + details + `}`
	}
	const inBody = `{"in":"body"}`
	tests := map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"no input":                {"ocr", `{}`, 480, refused("MissingInput", `{"in":"body","at":"input"}`)},
		"no input, but another":   {"ocr", `{"output":{}}`, 480, refused("MissingInput", `{"in":"body","at":"input"}`)},
		"missing property":        {"ocr", `{"input":{}}`, 480, refused("MissingInput", `{"in":"body","at":"input.source"}`)},
		"missing property, alias": {"ocrReaders/", `{"input":{}}`, 480, refused("MissingInput", `{"in":"body","at":"input.source"}`)},
		"missing deep inside":     {"ocr", `{"input":{"source":"x","pages":[{"dpi":1},{}]}}`, 480, refused("MissingInput", `{"in":"body","at":"input.pages[1].dpi"}`)},
		"unknown beside input":    {"ocr", `{"a b":1,"input":{}}`, 480, refused("UnrecognizedInput", `{"in":"body","at":"[\"a b\"]"}`)},
		"unknown after input":     {"echo", `{"input":{},"webhook":1}`, 480, refused("UnrecognizedInput", `{"in":"body","at":"webhook"}`)},
		"input before unknown":    {"ocr", `{"input":{},"webhook":1}`, 480, refused("MissingInput", `{"in":"body","at":"input.source"}`)},
		"unknown in input":        {"ocr", `{"input":{"source":"x","langage":"eng"}}`, 480, refused("UnrecognizedInput", `{"in":"body","at":"input.langage"}`)},
		"wrong type":              {"ocr", `{"input":{"source":5}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.source","expected":{"type":"string"}}`)},
		"not in enum":             {"ocr", `{"input":{"source":"x","language":"tlh"}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.language","expected":{"enum":["eng"]}}`)},
		"out of range":            {"ocr", `{"input":{"source":"x","pages":[{"dpi":0}]}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.pages[0].dpi","expected":{"type":"integer","minimum":1}}`)},
		"rule":                    {"ocr", `{"input":{"source":"x","low":2,"high":1}}`, 480, refused("InvalidInput", `{"in":"body","at":"input","expected":{"rule":"!has(self.low) || self.low < self.high","message":"low must be below high"}}`)},
		"input is null":           {"echo", `{"input":null}`, 480, refused("InvalidInput", `{"in":"body","at":"input","expected":{"type":"object"}}`)},
		"input is an array":       {"echo", `{"input":[]}`, 480, refused("InvalidInput", `{"in":"body","at":"input","expected":{"type":"object"}}`)},
		"empty body":              {"ocr", ``, 480, refused("InvalidInput", inBody)},
		"malformed":               {"ocr", `{"input":{"source":}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.source"}`)},
		"cut off":                 {"ocr", `{"input":{"source":"x"}`, 480, refused("InvalidInput", inBody)},
		"not an object":           {"ocr", `[{"input":{}}]`, 480, refused("InvalidInput", inBody)},
		"two objects":             {"ocr", `{"input":{}}{}`, 480, refused("InvalidInput", inBody)},
		"duplicate keys":          {"ocr", `{"input":{"source":"x","source":"x"}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.source"}`)},
		"duplicate input":         {"echo", `{"input":{},"input":{}}`, 480, refused("InvalidInput", `{"in":"body","at":"input"}`)},
		"invalid UTF-8":           {"echo", "{\"input\":{\"a\":\"\xff\"}}", 480, refused("InvalidInput", `{"in":"body","at":"input.a"}`)},
		"infinite number":         {"echo", `{"input":{"a":1e999}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.a"}`)},
		"NUL":                     {"echo", `{"input":{"a":"\u0000"}}`, 480, refused("InvalidInput", `{"in":"body","at":"input.a"}`)},
		"too deep":                {"echo", `{"input":` + strings.Repeat(`{"a":`, 63) + `{}` + strings.Repeat(`}`, 64), 480, refused("InvalidInput", `{"in":"body","at":"input`+strings.Repeat(".a", 63)+`"}`)},
		"unknown type":            {"ocrreaders", `{"input":{}}`, 480, refused("InvalidInput", `{"in":"path","at":"processType","expected":{"enum":["echo","ocr","ocrReaders"]}}`)},
		"input over its limit":    {"ocr", `{"input":{"source":"` + strings.Repeat("x", 245) + `"}}`, 413, refused("InputTooLarge", `{"in":"body","at":"input","expected":{"maxBytes":256}}`)},
		"body over its limit":     {"ocr", `{"input":{"source":"` + strings.Repeat("x", 1300) + `"}}`, 413, refused("InputTooLarge", `{"in":"body","expected":{"maxBytes":256}}`)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.want(f.post("/v1/processes/"+tc.path, tc.body), tc.status, tc.want)
			if got := f.creates.Load(); got != 0 {
				t.Errorf("%d creates, want none", got)
			}
		})
	}
}

func TestPost(t *testing.T) {
	tests := map[string]struct{ path, typeName, body, input string }{
		"plain":           {"/v1/processes/echo", "echo", `{"input":{}}`, `{}`},
		"byte for byte":   {"/v1/processes/echo", "echo", "{ \"input\" :\n {\"z\":1.0, \"a\": 12345678901234567890,\t\"\\u00e9<&\":[ 1e5,-0 ]}\n}", "{\"z\":1.0, \"a\": 12345678901234567890,\t\"\\u00e9<&\":[ 1e5,-0 ]}"},
		"trailing slash":  {"/v1/processes/echo/", "echo", `{"input":{"a":null}}`, `{"a":null}`},
		"alias of a type": {"/v1/processes/ocrReaders/", "ocr", `{"input":{"source":"x"}}`, `{"source":"x"}`},
		"deprecated path": {"/v4/processes/echo/", "echo", `{"input":{}}`, `{}`},
		"at the limit":    {"/v1/processes/ocr", "ocr", `{"input":{"source":"` + strings.Repeat("x", 243) + `"}}`, `{"source":"` + strings.Repeat("x", 243) + `"}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			got := f.post(tc.path, tc.body)
			id := f.idOf(got)
			expiry, lifetime := "2026-05-06T07:09:09.000Z", int32(60)
			if tc.typeName == "ocr" {
				expiry, lifetime = "2026-05-06T07:28:09.000Z", 1200
			}
			f.want(got, 200, `{"processId":"`+id+`","state":"processing","expirationDateTime":"`+expiry+`","input":`+tc.input+`}`)
			if want := "/v1/processes/" + tc.typeName + "/" + id; got.header.Get("Content-Location") != want {
				t.Errorf("Content-Location %q, want %q", got.header.Get("Content-Location"), want)
			}
			var p v1alpha1.Process
			if err := f.live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: id}, &p); err != nil {
				t.Fatal(err)
			}
			if want := (v1alpha1.ProcessSpec{Type: tc.typeName, LifetimeSeconds: lifetime, Input: tc.input}); p.Spec != want {
				t.Errorf("spec %+v, want %+v", p.Spec, want)
			}
			if expiry, ok := f.ring.Verify(tc.typeName, id); !ok || !expiry.Equal(p.ExpirationTime()) {
				t.Errorf("the id expires at %v (%t), the process at %v", expiry, ok, p.ExpirationTime())
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	const refused = `{"errorCode":"UnsupportedMediaType"}`
	tests := map[string]struct {
		header map[string]string
		status int
	}{
		"charset":           {map[string]string{"Content-Type": "application/json; charset=utf-8"}, 200},
		"odd charset, case": {map[string]string{"Content-Type": `Application/JSON;charset="ISO-8859-1"`}, 200},
		"unknown parameter": {map[string]string{"Content-Type": "application/json; version=1; x"}, 200},
		"none":              {map[string]string{"Content-Type": ""}, 415},
		"form":              {map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		"text":              {map[string]string{"Content-Type": "text/plain; application/json"}, 415},
		"patch":             {map[string]string{"Content-Type": "application/merge-patch+json"}, 415},
		"compressed":        {map[string]string{"Content-Encoding": "gzip"}, 415},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			got := f.do("POST", "/v1/processes/echo", strings.NewReader(`{"input":{}}`), tc.header)
			if tc.status == 415 {
				f.want(got, 415, refused)
			}
			if got.status != tc.status || (got.header.Get("Accept-Post") == "application/json") != (tc.status == 415) {
				t.Errorf("status %d, Accept-Post %q", got.status, got.header.Get("Accept-Post"))
			}
		})
	}
}

// endless is a body that is never done; it counts what was taken of it.
type endless struct{ taken atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.taken.Add(int64(len(p)))
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestLimitHoldsForChunks(t *testing.T) {
	f := newFacade(t)
	body := &endless{}
	f.want(f.do("POST", "/v1/processes/ocr", io.LimitReader(body, 64<<20), nil), 413, `{"errorCode":"InputTooLarge","errorDetails":{"in":"body","expected":{"maxBytes":256}}}`)
	if taken := body.taken.Load(); taken > 16<<20 {
		t.Errorf("%d bytes were taken", taken)
	}
}

func TestCreateFails(t *testing.T) {
	processes := schema.GroupResource{Group: "procman.dev", Resource: "processes"}
	const busy = `{"errorCode":"TooManyRequests"}`
	quota := fmt.Errorf("exceeded quota: procman, requested: count/processes=1, used: 5, limited: 5")
	tests := map[string]struct {
		err        error
		status     int
		body       string
		retryAfter string
		calls      int32
	}{
		"quota":                  {apierrors.NewForbidden(processes, "x", quota), 429, busy, "1", 1},
		"overload":               {apierrors.NewTooManyRequests("slow down", 3), 429, busy, "3", 1},
		"forbidden":              {apierrors.NewForbidden(processes, "x", errors.New("RBAC")), 580, failed, "", 1},
		"namespace is gone":      {apierrors.NewNotFound(processes, "x"), 580, failed, "", 1},
		"no answer, ever":        {context.DeadlineExceeded, 580, failed, "", 3},
		"unavailable throughout": {apierrors.NewServiceUnavailable("starting"), 580, failed, "", 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.onCreate = func(int32, func() error) error { return tc.err }
			got := f.post("/v1/processes/echo", `{"input":{}}`)
			f.want(got, tc.status, tc.body)
			if got.header.Get("Retry-After") != tc.retryAfter || f.creates.Load() != tc.calls {
				t.Errorf("Retry-After %q after %d calls, want %q after %d", got.header.Get("Retry-After"), f.creates.Load(), tc.retryAfter, tc.calls)
			}
			if log := strings.ReplaceAll(f.log.String(), `\"`, `"`); !strings.Contains(log, tc.err.Error()) {
				t.Errorf("the log lacks the cause:\n%s", f.log.String())
			}
		})
	}
}

// The API server made the Process but its answer was lost: the client gets its
// 200, and there is one Process.
func TestLostAnswerOfACreate(t *testing.T) {
	late := apierrors.NewTimeoutError("late", 0)
	for name, test := range map[string]struct{ first, then error }{
		"connection":                 {first: io.ErrUnexpectedEOF},
		"timeout":                    {first: late},
		"late twice":                 {first: late, then: late},
		"it filled the quota itself": {first: late, then: apierrors.NewForbidden(schema.GroupResource{Resource: "processes"}, "p", errors.New("exceeded quota: q"))},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.onCreate = func(call int32, create func() error) error {
				switch {
				case call == 1:
					if err := create(); err != nil {
						return err
					}
					return test.first
				case test.then != nil:
					return test.then
				}
				return create()
			}
			got := f.post("/v1/processes/echo", `{"input":{"a":1}}`)
			f.want(got, 200, `{"processId":"`+f.idOf(got)+`","state":"processing",`+expires+`,"input":{"a":1}}`)
			var all v1alpha1.ProcessList
			if err := f.live.List(t.Context(), &all); err != nil || len(all.Items) != 1 {
				t.Errorf("%d processes, %v, want 1", len(all.Items), err)
			}
		})
	}
}

const reused = `{"errorCode":"IdempotencyKeyReused","errorDetails":{"in":"header","at":"Idempotency-Key"}}`

// processes is how many processes there are.
func (f *facade) processes() int {
	f.Helper()
	var all v1alpha1.ProcessList
	if err := f.live.List(f.Context(), &all); err != nil {
		f.Fatal(err)
	}
	return len(all.Items)
}

// The first request's create is slow: meanwhile the client sends it again, and
// deletes the process that it gets. When the create lands at last, the process
// must not be back, also when the first request's client has long left.
func TestSlowCreateDoesNotBringBackWhatIsDeleted(t *testing.T) {
	for name, leaves := range map[string]bool{"the client waits": false, "the client has left": true} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			var path string
			f.onCreate = func(call int32, create func() error) error {
				if call == 2 { // the first is of the Lease
					again := f.postKeyed(`{"input":{}}`)
					path = "/v1/processes/echo/" + f.idOf(again)
					f.want(f.do(http.MethodDelete, path, nil, nil), 204, "")
					if leaves {
						leave()
					}
				}
				return create()
			}
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/processes/echo", strings.NewReader(`{"input":{}}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "key")
			first := httptest.NewRecorder()
			f.server.ServeHTTP(first, r)
			f.want(response{status: first.Code, body: first.Body.String()}, 422, reused)
			f.want(f.get(path), 404, notFound)
			f.want(f.postKeyed(`{"input":{}}`), 422, reused)
			if got := f.processes(); got != 0 {
				t.Errorf("%d processes, want none", got)
			}
		})
	}
}

// A key and GET agree on when a process has expired: from then on the key stands
// for another, that lives as long as any.
func TestKeyAtTheExpiry(t *testing.T) {
	find := func(f *facade, id string) *v1alpha1.Process {
		var p v1alpha1.Process
		if err := f.live.Get(f.Context(), client.ObjectKey{Namespace: namespace, Name: id}, &p); err != nil {
			f.Fatal(err)
		}
		return &p
	}
	there := func(*facade, string) {}
	known := func(f *facade, id string) { f.cache.OnAdd(find(f, id), false) }
	deleted := func(f *facade, id string) {
		if err := f.live.Delete(f.Context(), find(f, id)); err != nil {
			f.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		ahead  time.Duration // the API server's clock, of ours
		after  time.Duration
		before func(f *facade, id string)
		same   bool
	}{
		"before":                           {0, 59 * time.Second, there, true},
		"before, known":                    {0, 59 * time.Second, known, true},
		"there":                            {0, 59800 * time.Millisecond, there, false},
		"known":                            {0, 59800 * time.Millisecond, known, false},
		"deleted":                          {0, 59800 * time.Millisecond, deleted, false},
		"there, their clock is behind":     {-time.Second, 58800 * time.Millisecond, there, false},
		"known, their clock is behind":     {-time.Second, 58800 * time.Millisecond, known, false},
		"deleted, their clock is behind":   {-time.Second, 58800 * time.Millisecond, deleted, false},
		"there, their clock is ahead":      {time.Second, 59800 * time.Millisecond, known, true},
		"there, their clock is ahead, now": {time.Second, 60800 * time.Millisecond, known, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			f.ahead = test.ahead
			first := f.postKeyed(`{"input":{}}`)
			path := "/v1/processes/echo/" + f.idOf(first)
			f.clock.Step(test.after)
			test.before(f, f.idOf(first))
			status := 410
			if test.same {
				status = 200
			}
			if got := f.get(path); got.status != status {
				t.Errorf("GET before: status %d, want %d: %s", got.status, status, got.body)
			}
			again := f.postKeyed(`{"input":{}}`)
			if same := again.body == first.body; again.status != 200 || same != test.same {
				t.Errorf("the same again: %d %s, want the same: %t", again.status, again.body, test.same)
			}
			if expires := f.clock.Now().Truncate(time.Second).Add(test.ahead + time.Minute).Format(time.RFC3339); !test.same && !strings.Contains(again.body, strings.TrimSuffix(expires, "Z")) {
				t.Errorf("another expires at %s: %s", expires, again.body)
			}
			if got := f.get(path); got.status != status {
				t.Errorf("GET after: status %d, want %d: %s", got.status, status, got.body)
			}
		})
	}
}

// What another request has claimed the key for, and failed to create, expires when
// its id says.
func TestKeyOfWhatWasNotCreated(t *testing.T) {
	f := newFacade(t)
	f.onCreate = func(call int32, create func() error) error {
		if call > 1 {
			return context.DeadlineExceeded
		}
		return create()
	}
	f.want(f.postKeyed(`{"input":{}}`), 580, failed)
	f.onCreate = func(_ int32, create func() error) error { return create() }
	f.clock.Step(10500 * time.Millisecond)
	f.want(f.postKeyed(`{"input":{"a":1}}`), 422, reused)
	again := f.postKeyed(`{"input":{}}`)
	f.want(again, 200, `{"processId":"`+f.idOf(again)+`","state":"processing",`+expires+`,"input":{}}`)
	if expiry, ok := f.ring.Verify("echo", f.idOf(again)); !ok || !expiry.Equal(epoch.Add(time.Minute)) {
		t.Errorf("the id expires at %v (%t)", expiry, ok)
	}
}

// A create that takes longer than the process lives: meanwhile another request has
// made the process, and it has expired. The id stays expired.
func TestCreateThatLandsAfterTheExpiry(t *testing.T) {
	f := newFacade(t)
	var other response
	f.onCreate = func(call int32, create func() error) error {
		if call == 2 { // the first is of the Lease
			other = f.postKeyed(`{"input":{}}`)
			f.clock.Step(time.Minute)
			if err := f.live.DeleteAllOf(t.Context(), &v1alpha1.Process{}, client.InNamespace(namespace)); err != nil {
				t.Error(err)
			}
		}
		return create()
	}
	first := f.postKeyed(`{"input":{}}`)
	if first.status != 200 || f.idOf(first) == f.idOf(other) {
		t.Errorf("%d %s after %s", first.status, first.body, other.body)
	}
	f.want(f.get("/v1/processes/echo/"+f.idOf(other)), 410, `{"errorCode":"ResourceExpired"}`)
	f.want(f.postKeyed(`{"input":{}}`), 200, first.body)
	if got := f.processes(); got != 1 {
		t.Errorf("%d processes, want 1", got)
	}
}

// A create that is refused leaves its key unused: the next POST with it is like a
// first one. One that may have happened does not.
func TestKeyOfARefusedCreate(t *testing.T) {
	processes := schema.GroupResource{Group: "procman.dev", Resource: "processes"}
	quota := apierrors.NewForbidden(processes, "x", errors.New("exceeded quota: procman, requested: count/processes=1, used: 5, limited: 5"))
	for name, test := range map[string]struct {
		errs []error // of the calls that create the process
		used bool
	}{
		"quota":                   {[]error{quota}, false},
		"overload":                {[]error{apierrors.NewTooManyRequests("slow down", 3)}, false},
		"admission":               {[]error{apierrors.NewForbidden(processes, "x", errors.New("denied by a policy"))}, false},
		"admission, invalid":      {[]error{apierrors.NewInvalid(schema.GroupKind{Group: "procman.dev", Kind: "Process"}, "x", nil)}, false},
		"no answer":               {[]error{io.EOF, io.EOF, io.EOF}, true},
		"no answer, then refused": {[]error{io.EOF, quota}, true},
	} {
		for _, expired := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after another that has expired: %t", name, expired), func(t *testing.T) {
				f := newFacade(t)
				if expired {
					f.postKeyed(`{"input":{}}`)
					f.clock.Step(time.Minute)
				}
				errs := test.errs
				f.onProcess = func(create func() error) error {
					if len(errs) == 0 {
						return create()
					}
					err := errs[0]
					errs = errs[1:]
					return err
				}
				if got := f.postKeyed(`{"input":{}}`); got.status != 429 && got.status != 580 {
					t.Errorf("refused: %d %s", got.status, got.body)
				}
				f.clock.Step(30 * time.Second)
				got := f.postKeyed(`{"input":{"a":1}}`)
				if test.used {
					f.want(got, 422, reused)
					return
				}
				expires := f.clock.Now().Truncate(time.Second).Add(time.Minute).Format("2006-01-02T15:04:05.000Z")
				f.want(got, 200, `{"processId":"`+f.idOf(got)+`","state":"processing","expirationDateTime":"`+expires+`","input":{"a":1}}`)
			})
		}
	}
}

// A create is refused while another request with its key is about to create the
// process: the key is not released under it.
func TestRefusedCreateWhileAnotherCreates(t *testing.T) {
	f := newFacade(t)
	other, arrived, land := make(chan response, 1), make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	f.onProcess = func(create func() error) error {
		switch calls.Add(1) {
		case 1:
			go func() { other <- f.postKeyed(`{"input":{}}`) }()
			<-arrived
			return apierrors.NewTooManyRequests("slow down", 1)
		case 2:
			close(arrived)
			<-land
		}
		return create()
	}
	f.want(f.postKeyed(`{"input":{}}`), 429, `{"errorCode":"TooManyRequests"}`)
	f.want(f.postKeyed(`{"input":{"a":1}}`), 422, reused)
	close(land)
	made := <-other
	f.want(f.postKeyed(`{"input":{}}`), 200, made.body)
	if got := f.processes(); got != 1 {
		t.Errorf("%d processes, want 1", got)
	}
}

// Many at once, of which many are refused, some although the process has been
// created: whoever gets a process gets the same one, and there is no other.
func TestOneProcessForAKeyOfWhichManyAreRefused(t *testing.T) {
	for range 20 {
		f := newFacade(t)
		f.onProcess = func(create func() error) error {
			chance := rand.IntN(20)
			<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond) // so that they meet
			switch chance {
			case 0, 1:
				return create()
			case 2:
				return errors.Join(create(), io.EOF)
			default:
				return apierrors.NewTooManyRequests("slow down", 1)
			}
		}
		ids := make(chan string, 64)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 8 {
					if got := f.postKeyed(`{"input":{}}`); got.status == 200 {
						ids <- f.idOf(got)
					}
				}
			})
		}
		all.Wait()
		close(ids)
		f.onProcess = nil
		id := f.idOf(f.postKeyed(`{"input":{}}`))
		for other := range ids {
			if other != id {
				t.Errorf("the processes of a key are %s and %s", id, other)
			}
		}
		if got := f.processes(); got != 1 {
			t.Errorf("%d processes, want 1", got)
		}
	}
}

// A POST that has been answered can be sent again after the type was changed so
// that it refuses the input: its process is there. Any other is refused.
func TestKeyAfterTheTypeRefusesTheInput(t *testing.T) {
	const input = `{"input":{"a":"0123456789"}}`
	tightened := func(pt *v1alpha1.ProcessType) {
		pt.Spec.InputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","properties":{"b":{"type":"string"}}}`)}
	}
	lowered := func(pt *v1alpha1.ProcessType) { pt.Spec.Limits.InputBytes = 10 }
	const unrecognized = `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"body","at":"input.a"}}`
	first := func(f *facade, _ string) response { return f.postKeyed(input) }
	for name, test := range map[string]struct {
		change func(*v1alpha1.ProcessType)
		send   func(f *facade, id string) response
		status int
		body   string // the first answer when empty
	}{
		"the same":                     {tightened, first, 200, ""},
		"the same, over a lower limit": {lowered, first, 200, ""},
		"the same, known": {tightened, func(f *facade, id string) response {
			f.known(id, func(p *v1alpha1.Process) { p.Spec.Input = `{"a":"0123456789"}` })
			f.onGet = func() error {
				f.onGet = func() error { return errors.New("a second read") }
				return nil
			}
			return f.postKeyed(input)
		}, 200, ""},
		"another input": {tightened, func(f *facade, _ string) response { return f.postKeyed(`{"input":{"a":1}}`) }, 480, unrecognized},
		"another key": {tightened, func(f *facade, _ string) response {
			return f.do("POST", "/v1/processes/echo", strings.NewReader(input), map[string]string{"Idempotency-Key": "other"})
		}, 480, unrecognized},
		"no key": {tightened, func(f *facade, _ string) response { return f.post("/v1/processes/echo", input) }, 480, unrecognized},
		"deleted": {tightened, func(f *facade, id string) response {
			f.do("DELETE", "/v1/processes/echo/"+id, nil, nil)
			return f.postKeyed(input)
		}, 480, unrecognized},
		"expired": {tightened, func(f *facade, _ string) response {
			f.clock.Step(time.Minute)
			return f.postKeyed(input)
		}, 480, unrecognized},
		"nobody knows": {tightened, func(f *facade, _ string) response {
			f.onGet = func() error { return errors.New("the API server is down") }
			return f.postKeyed(input)
		}, 580, failed},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			original := f.postKeyed(input)
			f.register("echo", 1, func(pt *v1alpha1.ProcessType) {
				pt.Generation, pt.Spec.LifetimeSeconds = 2, 60
				test.change(pt)
			})
			creates := f.creates.Load()
			got := test.send(f, f.idOf(original))
			want := test.body
			if want == "" {
				want = original.body
			}
			f.want(got, test.status, want)
			if f.creates.Load() != creates {
				t.Error("something is created")
			}
		})
	}
}

// A type that is not accepted: by its condition, or, before the operator has
// looked, by its schema. What the operator said of an earlier form is nothing.
func TestTypeThatIsNotAccepted(t *testing.T) {
	f := newFacade(t)
	broken := &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","minimun":1}`)}
	refused := func(message, types string) string {
		return `{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":[` + types + `]},` +
			`"message":"process type shaky is not accepted: ` + message + `"}}`
	}
	said := func(status metav1.ConditionStatus, generation int64, message string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, ObservedGeneration: generation, Message: message}}
	}
	const others = `"echo","ocr","ocrReaders"`
	for name, test := range map[string]struct {
		schema     *apiextensionsv1.JSON
		conditions []metav1.Condition
		refusal    string // none when empty
		listed     bool
	}{
		"accepted":                             {nil, said("True", 1, ""), "", true},
		"not looked at":                        {nil, nil, "", true},
		"refused":                              {nil, said("False", 1, "spec.template: no"), refused("spec.template: no", others), false},
		"refused in an earlier form":           {nil, said("False", 0, "spec.template: no"), "", true},
		"a schema that is none, not looked at": {broken, nil, refused("spec.inputSchema: minimun: there is no such keyword", others+`,"shaky"`), true},
	} {
		t.Run(name, func(t *testing.T) {
			f.register("shaky", 2, func(pt *v1alpha1.ProcessType) {
				pt.UID = types.UID(name) // another one each time
				pt.Spec.InputSchema, pt.Status.Conditions = test.schema, test.conditions
			})
			got := f.post("/v1/processes/shaky", `{"input":{}}`)
			if test.refusal == "" && got.status != 200 {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if test.refusal != "" {
				f.want(got, 480, test.refusal)
			}
			for _, path := range []string{"/v1/processTypes", "/openapi.json"} {
				if described := strings.Contains(f.get(path).body, "shaky"); described != test.listed {
					t.Errorf("%s names it: %t, want %t", path, described, test.listed)
				}
			}
		})
	}
}

// The operator's verdict comes as a change of the status alone, and so do counts.
func TestVerdictComesLater(t *testing.T) {
	f := newFacade(t)
	echo := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: namespace, UID: "uid-echo", Generation: 1}}
	for _, status := range []metav1.ConditionStatus{"", "True", "False", "True"} {
		echo = echo.DeepCopy()
		if status != "" {
			echo.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, ObservedGeneration: 1}}
		}
		f.types.OnUpdate(nil, echo)
		want := 200
		if status == "False" {
			want = 480
		}
		if got := f.post("/v1/processes/echo", `{"input":{}}`); got.status != want {
			t.Errorf("accepted is %q: status %d, want %d: %s", status, got.status, want, got.body)
		}
		before := f.get("/openapi.json").header.Get("ETag")
		counted := echo.DeepCopy()
		counted.Status.Finished = new(int32(7))
		f.types.OnUpdate(echo, counted)
		if after := f.get("/openapi.json").header.Get("ETag"); after != before {
			t.Errorf("counts change what is said about the types")
		}
	}
}

// The description has a type's schema as it is, and whatever one type's schema
// holds, the other types are described.
func TestDescriptionOfAnySchema(t *testing.T) {
	property := func(keywords string) string {
		return `{"additionalProperties":false,"properties":{"a":{` + keywords + `}},"type":"object"}`
	}
	for name, test := range map[string]struct {
		schema string
		out    bool // the type is left out
	}{
		"a quote of Windows-1252":  {property(`"description":"the page\u0092s text","type":"string"`), false},
		"DEL and C1":               {property(`"pattern":"^[^\u007f-\u009f]*$","type":"string"`), false},
		"control characters":       {property(`"pattern":"^[^\u0000-\u001f]*$","type":"string"`), false},
		"U+FFFF":                   {property(`"description":"\uffff","type":"string"`), false},
		"byte order mark":          {property(`"description":"\ufeffx","type":"string"`), false},
		"beyond the BMP":           {property(`"description":"\ud83d\ude00","type":"string"`), false},
		"a long key":               {property(`"properties":{"` + strings.Repeat("k", 2000) + `":{"type":"string"}}`), false},
		"a merge key":              {property(`"properties":{"<<":{"type":"string"}}`), false},
		"digits":                   {property(`"maximum":12345678901234567890.0,"type":"number"`), false},
		"what looks like YAML":     {property(`"enum":["yes","0x1","~","2026-01-01","&a"]`), false},
		"a list like a reference":  {property(`"enum":["$ref","#/components/schemas/Input"]`), false},
		"a value like a reference": {property(`"default":{"$ref":"#/components/schemas/Input"}`), false},
		"a property called $ref":   {property(`"properties":{"$ref":{"enum":["#/components/schemas/Input"]}}`), false},
		"no object":                {`[]`, true},
		"no JSON":                  {`{`, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			for _, side := range []string{"Input", "Output"} {
				f.register("new", 2, func(pt *v1alpha1.ProcessType) {
					pt.UID, pt.Spec.Description = types.UID(side), "a\u0092b"
					into := &pt.Spec.InputSchema
					if side == "Output" {
						into = &pt.Spec.OutputSchema
					}
					*into = &apiextensionsv1.JSON{Raw: []byte(test.schema)}
				})
				var got struct {
					Paths      map[string]any
					Components struct{ Schemas map[string]json.RawMessage }
				}
				if err := json.Unmarshal([]byte(f.get("/openapi.json").body), &got); err != nil {
					t.Fatal(err)
				}
				schemas := got.Components.Schemas
				if got.Paths["/v1/processes/echo"] == nil || len(schemas["Input.echo"]) == 0 {
					t.Error("echo is not described")
				}
				listed := f.get("/v1/processTypes")
				if listed.status != 200 || !strings.Contains(listed.body, `"name":"echo"`) {
					t.Errorf("the types are %d: %s", listed.status, listed.body)
				}
				if test.out {
					if got.Paths["/v1/processes/new"] != nil || strings.Contains(listed.body, `"name":"new"`) {
						t.Error("the type is described")
					}
					continue
				}
				if diff := cmp.Diff(plain(t, test.schema), plain(t, string(schemas[side+".new"]))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", side, diff)
				}
				if want := `{"$ref":"#/components/schemas/Input.new"}`; !strings.Contains(string(schemas["Submission.new"]), want) {
					t.Errorf("what is submitted is %s, not %s", schemas["Submission.new"], want)
				}
			}
		})
	}
}

// plain is JSON as Go values, with all digits.
func plain(t *testing.T, text string) (value any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

// Aliases: names beat them, the older type keeps them, and they come and go.
func TestTypesComeAndGo(t *testing.T) {
	f := newFacade(t)
	location := func(name string) string {
		got := f.post("/v1/processes/"+name, `{"input":{}}`).header.Get("Content-Location")
		return strings.TrimPrefix(got, "/v1/processes/")
	}
	claim := func(pt *v1alpha1.ProcessType) { pt.Spec.Aliases = []string{"echo", "shared"} }
	f.register("younger", 9, claim)
	f.register("older", 5, claim)
	for name, want := range map[string]string{"shared": "older/", "echo": "echo/", "younger": "younger/"} {
		if got := location(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	older := &v1alpha1.ProcessType{}
	older.Name = "older"
	f.types.OnDelete(older)
	if got := location("shared"); !strings.HasPrefix(got, "younger/") {
		t.Errorf("shared is %s after older is gone, want younger/", got)
	}
	changed := &v1alpha1.ProcessType{}
	changed.Name, changed.UID, changed.Generation = "younger", "uid-younger", 2
	changed.Spec.InputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}`)}
	f.types.OnUpdate(nil, changed)
	f.want(f.post("/v1/processes/younger", `{"input":{}}`), 480, `{"errorCode":"MissingInput","errorDetails":{"in":"body","at":"input.a"}}`)
	f.want(f.post("/v1/processes/older", `{"input":{}}`), 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":["echo","ocr","ocrReaders","younger"]}}}`)
}

func TestNoTypesAtAll(t *testing.T) {
	f := newFacade(t)
	for _, name := range []string{"ocr", "echo"} {
		gone := &v1alpha1.ProcessType{}
		gone.Name = name
		f.types.OnDelete(gone)
	}
	f.want(f.do(http.MethodPost, "/v1/processes/ocr", nil, nil), 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"path","at":"processType","expected":{"enum":[]}}}`)
}

// A client that has closed its side, which looks as if it had gone, gets its
// answer.
func TestPostOfWhoHasClosedItsSide(t *testing.T) {
	f := newFacade(t)
	f.onCreate = func(call int32, create func() error) error {
		if call == 1 {
			return errors.New("the connection broke")
		}
		return create()
	}
	ctx, left := context.WithCancel(t.Context())
	left()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/processes/echo", strings.NewReader(`{"input":{}}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.server.ServeHTTP(w, r)
	if w.Code != http.StatusOK || f.creates.Load() != 2 {
		t.Errorf("status %d after %d creates: %s", w.Code, f.creates.Load(), w.Body)
	}
}
