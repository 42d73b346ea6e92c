package collector

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// newLocal is a collector of a process whose output has a number n.
func newLocal(t *testing.T) *Local {
	t.Helper()
	l, err := NewLocal(
		&v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{OutputSchema: &apiextensionsv1.JSON{
			Raw: []byte(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`),
		}}},
		&v1alpha1.Process{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1alpha1.ProcessSpec{Input: `{"a": 1.0}`}},
		"secret", testingclock.NewFakePassiveClock(time.Unix(1e9, 0)))
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
	l.ServeHTTP(w, r)
	return w
}

func TestLocalListensToItsAgentAlone(t *testing.T) {
	l := newLocal(t)
	for _, header := range []string{"", "secret", "Bearer other"} {
		r := httptest.NewRequest(http.MethodGet, agentapi.InputPath, nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "1.0") {
			t.Errorf("%q is answered with %d %s", header, w.Code, w.Body)
		}
	}
}

func TestLocalRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		path, body string
		status     int
	}{
		"an output that is no object":   {agentapi.ResultPath, `{"output":"[1]"}`, http.StatusBadRequest},
		"an errorCode that is none":     {agentapi.ResultPath, `{"errorCode":"two words"}`, http.StatusBadRequest},
		"what is no result":             {agentapi.ResultPath, `nonsense`, http.StatusBadRequest},
		"progress beyond its end":       {agentapi.ProgressPath, `{"percentComplete":101}`, http.StatusBadRequest},
		"progress that goes below zero": {agentapi.ProgressPath, `{"percentComplete":-1}`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t)
			l.Begin(1, true)
			if w := ask(l, http.MethodPut, test.path, test.body); w.Code != test.status {
				t.Errorf("answered with %d, want %d", w.Code, test.status)
			}
			if p := l.Process(); p.Finished() || p.Status.PercentComplete != nil {
				t.Errorf("the process is now %+v", p.Status)
			}
		})
	}
}

func TestLocalAttempts(t *testing.T) {
	l := newLocal(t)
	crash := agentapi.Failure("WorkerFailed", map[string]any{"exitCode": 3})
	crash.Retry = true

	l.Begin(1, false)
	if w := ask(l, http.MethodGet, agentapi.InputPath, ""); w.Body.String() != `{"a": 1.0}` || w.Header().Get(agentapi.HeaderAttempt) != "1" {
		t.Errorf("the input is answered with %s, %v", w.Body, w.Header())
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

func TestLocalHoldsOutputAgainstItsSchema(t *testing.T) {
	l := newLocal(t)
	l.Begin(1, true)
	ask(l, http.MethodPut, agentapi.ResultPath, `{"output":"{\"n\":\"x\"}"}`)
	if s := l.Process().Status; s.ErrorCode != "OutputInvalid" || !strings.Contains(s.ErrorDetails, `"at":"output.n"`) {
		t.Errorf("the process is %+v", s)
	}
}
