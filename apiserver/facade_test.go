// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver"
	"procman.dev/procman/apiserver/catalog"
	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processes"
	"procman.dev/procman/apiserver/processid"
	"procman.dev/procman/internal/store/storetest"
	"procman.dev/procman/test/contract"
	"procman.dev/procman/test/fakeapi"
)

const namespace = "work"

var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// facade is a running Server with all that it uses.
type facade struct {
	testing.TB
	server  *apiserver.Server
	url     string
	cache   *processes.Cache // what the informer knows
	live    *fakeapi.Server  // what the API server has
	objects *storetest.Directory
	types   *catalog.Catalog
	ring    *processid.Ring
	clock   *testingclock.FakeClock
	metrics *prometheus.Registry
	log     lines
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line + "\n")
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newFacade(t testing.TB) *facade {
	t.Helper()
	return newFacadeWith(t, processes.Limits{})
}

func newFacadeWith(t testing.TB, limits processes.Limits) *facade {
	t.Helper()
	ring, err := processid.NewRing([]byte(strings.Repeat("k", processid.MinKeyBytes)))
	if err != nil {
		t.Fatal(err)
	}
	f := &facade{
		TB: t, types: catalog.New(apiserver.Contract), ring: ring, clock: testingclock.NewFakeClock(epoch.Add(250 * time.Millisecond)), metrics: prometheus.NewRegistry(),
	}
	f.live, f.cache, f.objects = fakeapi.New(t, f.clock), processes.NewCache(), storetest.New(t)
	s, err := apiserver.New(apiserver.Options{
		Namespace: namespace, Processes: processes.NewStore(processes.Config{
			Cache: f.cache, Live: f.live, Ring: keyring.Fixed(ring), Objects: f.objects.Store, Clock: f.clock, MaxConcurrent: f.types.MaxConcurrent, Limits: limits,
		}), Catalog: f.types, Clock: f.clock, Metrics: f.metrics,
		Log:    funcr.NewJSON(f.log.add, funcr.Options{Verbosity: 1}),
		Sunset: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.server = s
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	f.url = "http://" + f.serveWith(&http.Server{Protocols: protocols})
	f.register("ocr", 0, func(pt *v1alpha1.ProcessType) {
		pt.Spec.Aliases = []string{"ocrReaders"}
		pt.Spec.Limits.InputBytes = 256
		pt.Spec.InputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","required":["source"],"properties":{
			"source":{"type":"string"},"language":{"type":"string","enum":["eng"]},
			"low":{"type":"integer"},"high":{"type":"integer"},
			"pages":{"type":"array","items":{"type":"object","required":["dpi"],"properties":{"dpi":{"type":"integer","minimum":1}}}}},
			"x-kubernetes-validations":[{"rule":"!has(self.low) || self.low < self.high","message":"low must be below high"}]}`)}
	})
	f.register("echo", 1, func(pt *v1alpha1.ProcessType) { pt.Spec.LifetimeSeconds = 60 })
	return f
}

// serveWith starts a server of the facade for the time of the test and returns its
// address.
func (f *facade) serveWith(server *http.Server) (address string) {
	f.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	server.Handler = f.server
	go func() { _ = server.Serve(listener) }()
	f.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// register adds a type that was created some seconds after the epoch.
func (f *facade) register(name string, created int, change func(*v1alpha1.ProcessType)) {
	pt := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: namespace, UID: types.UID("uid-" + name), Generation: 1,
		CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(created) * time.Second)),
	}}
	change(pt)
	f.types.Set(pt)
}

// unregister deletes a type.
func (f *facade) unregister(name string) {
	f.types.Delete(&v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}})
}

// known adds to the informer a Process of type echo, created at the epoch.
func (f *facade) known(name string, change func(*v1alpha1.Process)) {
	f.cache.Set(echoProcess(name, change))
}

// stored adds such a Process to the API server only; the informer does not know it yet.
func (f *facade) stored(name string, change func(*v1alpha1.Process)) *v1alpha1.Process {
	f.Helper()
	p := echoProcess(name, change)
	if err := f.live.Create(f.Context(), p.DeepCopy()); err != nil {
		f.Fatal(err)
	}
	return p
}

func echoProcess(name string, change func(*v1alpha1.Process)) *v1alpha1.Process {
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(epoch)},
		Spec:       v1alpha1.ProcessSpec{Type: "echo", LifetimeSeconds: 60, Input: `{"a": 1.0}`},
	}
	change(p)
	return p
}

// unchanged changes nothing.
func unchanged(*v1alpha1.Process) {}

type response struct {
	status int
	header http.Header
	body   string
}

// checker checks responses against openapi.yaml.
var checker = sync.OnceValue(func() *contract.Checker {
	c, err := contract.NewChecker(apiserver.Contract)
	if err != nil {
		panic(err)
	}
	return c
})

// do sends a request and checks what every response must have.
func (f *facade) do(method, path string, body io.Reader, header map[string]string) response {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.url+path, body)
	if err != nil {
		f.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	noRedirects := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := noRedirects.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" {
		f.Errorf("%s %s: Content-Type %q", method, path, got)
	}
	if err := checker().Check(req, res, data); err != nil {
		f.Errorf("%s %s: status %d is not as in openapi.yaml: %v\n%s", method, path, res.StatusCode, err, data)
	}
	if res.Header.Get("X-Request-Id") == "" || res.Header.Get("Cache-Control") != "private, no-cache" {
		f.Errorf("%s %s: X-Request-Id or Cache-Control is wrong: %v", method, path, res.Header)
	}
	return response{status: res.StatusCode, header: res.Header, body: string(data)}
}

// recorded passes a request to the handler itself and checks the response against
// openapi.yaml.
func recorded(t testing.TB, s *apiserver.Server, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if err := checker().Check(r, w.Result(), w.Body.Bytes()); err != nil { //nolint:bodyclose // a recorder's
		t.Errorf("%s %s: status %d is not as in openapi.yaml: %v\n%s", r.Method, r.URL, w.Code, err, w.Body)
	}
	return w
}

func (f *facade) post(path, body string) response {
	f.Helper()
	return f.do(http.MethodPost, path, strings.NewReader(body), nil)
}

// postKeyed sends body to the type echo with the Idempotency-Key "key".
func (f *facade) postKeyed(body string) response {
	f.Helper()
	return f.do(http.MethodPost, "/v1/processes/echo", strings.NewReader(body), map[string]string{"Idempotency-Key": "key"})
}

func (f *facade) get(path string) response {
	f.Helper()
	return f.do(http.MethodGet, path, nil, nil)
}

// want compares a response's status and its exact body.
func (f *facade) want(got response, status int, body string) {
	f.Helper()
	if got.status != status {
		f.Errorf("status %d, want %d", got.status, status)
	}
	if diff := cmp.Diff(body, got.body); diff != "" {
		f.Errorf("body (-want +got):\n%s", diff)
	}
}

// idOf returns the processId in a body.
func (f *facade) idOf(res response) string {
	f.Helper()
	_, rest, ok := strings.Cut(res.body, `{"processId":"`)
	if !ok || len(rest) < processid.Length {
		f.Fatalf("no processId in %s", res.body)
	}
	return rest[:processid.Length]
}

// ask sends a request without a body, with headers that can have several values, and checks
// the response like do, except that a 304 needs no Content-Type. Any goroutine may call it.
func (f *facade) ask(ctx context.Context, method, path string, header http.Header) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, nil)
	if err != nil {
		return response{}, err
	}
	req.Header = header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return response{}, err
	}
	if err := checker().Check(req, res, data); err != nil {
		f.Errorf("%s %s: status %d is not as in openapi.yaml: %v\n%s", method, path, res.StatusCode, err, data)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" && res.StatusCode != http.StatusNotModified {
		f.Errorf("%s %s: Content-Type %q", method, path, got)
	}
	return response{status: res.StatusCode, header: res.Header, body: string(data)}, nil
}

// getWith sends a GET with headers, as pairs of name and value.
func (f *facade) getWith(path string, namesAndValues ...string) response {
	f.Helper()
	got, err := f.ask(f.Context(), http.MethodGet, path, headerOf(namesAndValues...))
	if err != nil {
		f.Fatal(err)
	}
	return got
}

func headerOf(namesAndValues ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(namesAndValues); i += 2 {
		h.Add(namesAndValues[i], namesAndValues[i+1])
	}
	return h
}

// later sends a request and returns a channel that gets the response.
func (f *facade) later(method, path string, header http.Header) <-chan response {
	answer := make(chan response, 1)
	ctx := f.Context()
	go func() {
		got, err := f.ask(ctx, method, path, header)
		if err != nil {
			f.Errorf("%s %s: %v", method, path, err)
		}
		answer <- got
	}()
	return answer
}

// until waits for a condition that must become true.
func (f *facade) until(what string, is func() bool) {
	f.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); goruntime.Gosched() {
		if time.Now().After(deadline) {
			f.Fatalf("it does not become true: %s", what)
		}
	}
}

// timers waits until n timers of the facade's clock run.
func (f *facade) timers(n int) {
	f.Helper()
	f.until(strconv.Itoa(n)+" timers run", func() bool { return f.clock.Waiters() == n })
}

// watched returns how many Processes are watched. Nothing may change that meanwhile.
func (f *facade) watched() int { return reflect.ValueOf(f.cache).Elem().FieldByName("watches").Len() }

// served waits until the log has a number of lines with a status.
func (f *facade) served(status, times int) {
	f.Helper()
	f.until(strconv.Itoa(times)+" answers of "+strconv.Itoa(status), func() bool {
		return strings.Count(f.log.String(), `"status":`+strconv.Itoa(status)) == times
	})
}
