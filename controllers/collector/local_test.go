package collector

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// newLocal returns the collector of a process whose output must have a number n.
func newLocal(t *testing.T) *Local {
	t.Helper()
	l, err := NewLocal(
		&v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{OutputSchema: &apiextensionsv1.JSON{
			Raw: []byte(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`),
		}}},
		&v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1alpha1.ProcessSpec{Type: "t", Input: `{"a": 1.0}`}},
		"secret", time.Minute, testingclock.NewFakePassiveClock(time.Unix(1e9, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask makes one request with the right token.
func ask(l *Local, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer secret")
	w := httptest.NewRecorder()
	l.Handler().ServeHTTP(w, r)
	return w
}

func TestLocalNeedsItsToken(t *testing.T) {
	l := newLocal(t)
	for _, token := range []string{"", "other"} {
		if _, err := l.Attempt(t.Context(), token); !errors.Is(err, agentapi.ErrUnauthenticated) {
			t.Errorf("the token %q: %v", token, err)
		}
	}
}

func TestLocalAttempts(t *testing.T) {
	l := newLocal(t)
	crash := agentapi.Failure("WorkerFailed", map[string]any{"exitCode": 3})
	crash.Retry = true

	l.Begin(1, false)
	w := ask(l, http.MethodGet, agentapi.InputPath, "")
	in, err := agentapi.ReadInput(w.Header(), w.Body.Bytes())
	if diff := cmp.Diff(agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 1, Timeout: time.Minute, Text: `{"a": 1.0}`}, in); diff != "" || err != nil {
		t.Errorf("the input: %v %s", err, diff)
	}
	if result, again := l.End(crash); !again || result.Attempt != 1 {
		t.Errorf("the first crash: again %t, %+v", again, result)
	}

	l.Begin(2, false)
	if w := ask(l, http.MethodPut, agentapi.ProgressPath, `{"percentComplete":40}`); w.Code != http.StatusOK {
		t.Errorf("progress is answered with %d", w.Code)
	}
	if w := ask(l, http.MethodPut, agentapi.ResultPath, `{"output":"{\"n\": 2}"}`); w.Code != http.StatusOK {
		t.Errorf("the result is answered with %d", w.Code)
	}
	if w := ask(l, http.MethodPut, agentapi.ResultPath, `{"output":"{\"n\": 3}"}`); w.Code != http.StatusConflict {
		t.Errorf("a second result is answered with %d", w.Code)
	}
	if _, again := l.End(crash); again { // what was delivered counts
		t.Error("another attempt is due after the result")
	}
	status := l.Process().Status
	if status.State != v1alpha1.StateComplete || status.Output != `{"n": 2}` || *status.Attempts != 2 || *status.PercentComplete != 40 {
		t.Errorf("the process is %+v", status)
	}
}

func TestLocalLastCrash(t *testing.T) {
	l := newLocal(t)
	l.Begin(3, true)
	crash := agentapi.Failure("WorkerFailed", map[string]any{"exitCode": 3})
	crash.Retry = true
	if _, again := l.End(crash); again {
		t.Error("another attempt is due after the last")
	}
	if s := l.Process().Status; s.ErrorCode != "WorkerFailed" || s.ErrorDetails != `{"attempts":3,"exitCode":3}` {
		t.Errorf("the process is %+v", s)
	}
}

func TestLocalValidatesTheOutput(t *testing.T) {
	l := newLocal(t)
	l.Begin(1, true)
	ask(l, http.MethodPut, agentapi.ResultPath, `{"output":"{\"n\":\"x\"}"}`)
	if s := l.Process().Status; s.ErrorCode != "OutputInvalid" || !strings.Contains(s.ErrorDetails, `"at":"output.n"`) {
		t.Errorf("the process is %+v", s)
	}
}
