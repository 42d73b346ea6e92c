package apiserver_test

import (
	"context"
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

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

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
			first := recorded(t, f.server, r)
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
	if expiry, ok := f.ring.Verify(namespace, "echo", f.idOf(again)); !ok || !expiry.Equal(epoch.Add(time.Minute)) {
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

// The answer to a POST is the same again, though the cache does not hold the input.
func TestKeyOfALargeInput(t *testing.T) {
	f := newFacade(t)
	post := func() response {
		return f.do("POST", "/v1/processes/echo", strings.NewReader(`{"input":{"a":"`+strings.Repeat("x", 20_000)+`"}}`), map[string]string{"Idempotency-Key": "k"})
	}
	first := post()
	p := &v1alpha1.Process{}
	if err := f.live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: f.idOf(first)}, p); err != nil {
		t.Fatal(err)
	}
	known, err := trimmed(p)
	if err != nil {
		t.Fatal(err)
	}
	f.cache.OnAdd(known, false)
	f.want(post(), 200, first.body)
}
