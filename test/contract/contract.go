// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"procman.dev/procman/apiserver"
)

// Target is a deployment to run the suite against. It has the process types of
// processtypes.yaml.
type Target struct {
	// URL is the base URL of the API, without a slash at the end.
	URL string
	// Replicas are the base URLs of the replicas behind URL; only URL by default.
	Replicas []string
}

const (
	typeName  = "contract"
	aliasName = "contractSuite"
	briefName = "contract-brief"
	// singleName is a type with a maxProcessing of 1.
	singleName = "contract-single"
	// queueName is a type with a maxConcurrent of 1.
	queueName = "contract-queue"
	// patience bounds everything that has no other bound.
	patience = 2 * time.Minute
)

// Run tests every row of docs/contract.md, sections 1 and 4, against the target.
func Run(t *testing.T, target Target) {
	if len(target.Replicas) == 0 {
		target.Replicas = []string{target.URL}
	}
	s := suite{Target: target, checker: sync.OnceValues(func() (*Checker, error) { return NewChecker(apiserver.Contract) })}
	types := s.get(t, "/v1/processTypes")
	for _, name := range []string{typeName, briefName, singleName, queueName} {
		if !bytes.Contains(types.body, []byte(`"name":"`+name+`"`)) {
			t.Fatalf("%s has no process type %s: kubectl apply -f test/contract/processtypes.yaml", target.URL, name)
		}
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Post", s.testPost}, {"Refusals", s.testRefusals}, {"Malformed", s.testMalformed}, {"MediaType", s.testMediaType}, {"Gzip", s.testGzip},
		{"TooLarge", s.testTooLarge}, {"SlowSender", s.testSlowSender}, {"TooMany", s.testTooMany}, {"PostAndWait", s.testPostAndWait},
		{"Get", s.testGet}, {"Queue", s.testQueue}, {"Times", s.testTimes}, {"Include", s.testInclude}, {"Labels", s.testLabels}, {"WorkerErrors", s.testWorkerErrors}, {"NotFound", s.testNotFound}, {"Expiry", s.testExpiry},
		{"Terminal", s.testTerminal}, {"ETag", s.testETag}, {"Wait", s.testWait}, {"WaitWithABody", s.testWaitWithABody}, {"Events", s.testEvents}, {"EndOfEvents", s.testEndOfEvents},
		{"Delete", s.testDelete}, {"List", s.testList}, {"ProcessTypes", s.testProcessTypes}, {"Description", s.testDescription},
		{"Router", s.testRouter}, {"Root", s.testRoot}, {"Queries", s.testQueries}, {"CORS", s.testCORS}, {"Deprecated", s.testDeprecated}, {"RequestID", s.testRequestID},
		{"Idempotency", s.testIdempotency}, {"IdempotencyConcurrent", s.testIdempotencyConcurrent}, {"VendorClient", s.testVendorClient},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t)
		})
	}
}

type suite struct {
	Target
	checker func() (*Checker, error)
}

// answer is a response with its whole body.
type answer struct {
	status int
	header http.Header
	body   []byte
	process
}

// process has all members that a body can have.
type process struct {
	ProcessID          string          `json:"processId"`
	State              string          `json:"state"`
	ExpirationDateTime string          `json:"expirationDateTime"`
	CreatedDateTime    string          `json:"createdDateTime"`
	StartedDateTime    string          `json:"startedDateTime"`
	FinishedDateTime   string          `json:"finishedDateTime"`
	Labels             json.RawMessage `json:"labels"`
	Input              json.RawMessage `json:"input"`
	Output             json.RawMessage `json:"output"`
	ErrorCode          string          `json:"errorCode"`
	ErrorDetails       json.RawMessage `json:"errorDetails"`
	QueuePosition      int             `json:"queuePosition"`
	PercentComplete    *int            `json:"percentComplete"`
}

// client follows no redirects, because the API never sends one, and decompresses nothing.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
}

// send sends a request and checks the response against the description.
func (s *suite) send(t *testing.T, request *http.Request) answer {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	checker, err := s.checker()
	if err != nil {
		t.Fatal(err)
	}
	if err := checker.Check(request, response, a.body); err != nil {
		t.Errorf("%s %s: status %d is not as in openapi.yaml: %v\n%s", request.Method, request.URL.Path, a.status, err, a.body)
	}
	if response.Header.Get("Content-Type") != "application/json" {
		return a
	}
	if len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &a.process); err != nil {
			t.Errorf("%s %s: the body is not a JSON object: %v: %s", request.Method, request.URL.Path, err, a.body)
		}
	}
	if a.header.Get("X-Request-Id") == "" || a.header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("%s %s: X-Request-Id or Cache-Control is wrong: %v", request.Method, request.URL.Path, a.header)
	}
	return a
}

// header is a request's header, as pairs of name and value.
type header [][2]string

// do sends a request to a path on the target's URL.
func (s *suite) do(t *testing.T, method, path string, body io.Reader, headers header) answer {
	t.Helper()
	return s.send(t, s.request(t, s.URL, method, path, body, headers))
}

func (s *suite) request(t *testing.T, base, method, path string, body io.Reader, headers header) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		request.Header.Set(h[0], h[1])
	}
	return request
}

func (s *suite) get(t *testing.T, path string) answer {
	t.Helper()
	return s.do(t, http.MethodGet, path, nil, nil)
}

// path is the path of a process.
func path(id string) string { return "/v1/processes/" + typeName + "/" + id }

func (s *suite) post(t *testing.T, body string, headers ...[2]string) answer {
	t.Helper()
	return s.do(t, http.MethodPost, "/v1/processes/"+typeName, bytes.NewReader([]byte(body)), headers)
}

// create starts a process and returns the response, which must be a 200.
func (s *suite) create(t *testing.T, input string) answer {
	t.Helper()
	a := s.post(t, `{"input":`+input+`}`)
	if a.status != http.StatusOK {
		t.Fatalf("POST: status %d: %s", a.status, a.body)
	}
	return a
}

// finish waits until a process is terminal and returns the response to GET.
func (s *suite) finish(t *testing.T, id string) answer {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; {
		a := s.do(t, http.MethodGet, path(id), nil, header{{"Prefer", "wait=30"}})
		if a.status != http.StatusOK {
			t.Fatalf("GET: status %d: %s", a.status, a.body)
		}
		if a.State != "processing" {
			return a
		}
	}
	t.Fatalf("process %s is still processing after %s", id, patience)
	return answer{}
}

// want checks a status and a whole body.
func want(t *testing.T, got answer, status int, body string) {
	t.Helper()
	if got.status != status || string(got.body) != body {
		t.Errorf("status %d: %s\nwant %d: %s", got.status, got.body, status, body)
	}
}

// eventually checks a condition every 100 ms until it is true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !holds(); <-tick.C {
		if time.Since(start) > patience {
			t.Fatalf("after %s it is still not true that %s", patience, what)
		}
	}
}

const (
	notFound = `{"errorCode":"ResourceNotFound"}`
	expired  = `{"errorCode":"ResourceExpired"}`
)

// uniqueKey returns an Idempotency-Key that was never used.
func uniqueKey(t *testing.T) string { return fmt.Sprintf("%s %d", t.Name(), time.Now().UnixNano()) }

var (
	idPattern   = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	timePattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
)
