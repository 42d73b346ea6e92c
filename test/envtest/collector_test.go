// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/payload"
	"procman.dev/procman/internal/store"
)

// token requests a token of a service account from the API server. It is bound to
// the pod, unless pod is nil.
func token(t *testing.T, account, audience string, pod *corev1.Pod) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	}
	owner := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	if err := kube.SubResource("token").Create(t.Context(), owner, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// callCollector sends a request to the collector, as an agent does. It returns the
// response and its body.
func callCollector(t *testing.T, method, path, token string, body any) (*http.Response, string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	result, isResult := body.(agentapi.Result)
	if isResult {
		text = []byte(result.Body())
	}
	request, err := http.NewRequestWithContext(t.Context(), method, collectorURL+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if isResult {
		result.SetHeader(request.Header)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

// getInput gets the input of an attempt as its agent does.
func getInput(t *testing.T, token string) (in agentapi.Input, text string, err error) {
	t.Helper()
	response, text := callCollector(t, http.MethodGet, agentapi.InputPath, token, nil)
	response.Body = io.NopCloser(strings.NewReader(text))
	if err := agentapi.ReadError(response); err != nil {
		return agentapi.Input{}, "", err
	}
	in, err = agentapi.ReadInput(response.Header)
	return in, text, err
}

// startProcess creates a process of a new type, waits for its Job, and adds the first
// pod.
func startProcess(t *testing.T, name, input string) (*v1alpha1.Process, *corev1.Pod) {
	t.Helper()
	create(t, newType(name))
	p := newProcess(name)
	p.Spec.Type, p.Spec.Input = name, input
	if strings.HasPrefix(name, "stored-") {
		p.Spec.Input, p.Spec.StoredInput = "", putPayload(t, p, input)
	}
	create(t, p)
	return p, addPod(t, awaitJob(t, p), name+"-1")
}

// putPayload writes a payload of p to the object store, as the facade does.
func putPayload(t *testing.T, p *v1alpha1.Process, text string) v1alpha1.StoredPayload {
	t.Helper()
	s, err := store.Open(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	stored, err := payload.Put(t.Context(), s, p, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// outputOf returns the output of a process, wherever it is.
func outputOf(t *testing.T, p *v1alpha1.Process) string {
	t.Helper()
	if p.Status.StoredOutput.IsZero() {
		return p.Status.Output
	}
	s, err := store.Open(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	content, err := payload.Open(t.Context(), s, p, p.Status.StoredOutput)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	text, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestResultIsCommitted(t *testing.T) {
	t.Parallel()
	large := `{"filler":"` + strings.Repeat("x", 100<<10) + `"}`
	for name, input := range map[string]string{"collect-small": `{"z": 1.0, "a":12345678901234567890}`, "collect-large": large, "stored-large": large} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, pod := startProcess(t, name, input)
			bearer := token(t, "procman-worker", agentapi.Audience, pod)
			got, text, err := getInput(t, bearer)
			want := agentapi.Input{ProcessID: p.Name, ProcessType: p.Spec.Type, Attempt: 1, Timeout: 300 * time.Second}
			if err != nil || got != want || text != input {
				t.Fatalf("GET input: %v: %v, %.300s, want %v", err, got, text, want)
			}
			if response, got := callCollector(t, http.MethodPut, agentapi.ProgressPath, bearer, agentapi.Progress{PercentComplete: 40}); response.StatusCode != http.StatusOK {
				t.Fatalf("PUT progress: %s: %s", response.Status, got)
			}
			output := input
			if response, got := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, agentapi.Result{Output: output}); response.StatusCode != http.StatusOK {
				t.Fatalf("PUT result: %s: %s", response.Status, got)
			}
			p = awaitTerminal(t, p.Name)
			if s := p.Status; s.State != v1alpha1.StateComplete || outputOf(t, p) != output || *s.PercentComplete != 40 || *s.Attempts != 1 {
				t.Errorf("the status is %.300v", s)
			}
			if stored := !p.Status.StoredOutput.IsZero(); stored != (len(output) > payload.MaxInlineBytes) {
				t.Errorf("%d bytes are stored: %t", len(output), stored)
			}
			// A late, repeated or forged result changes nothing.
			for _, late := range []agentapi.Result{{Output: `{"late":true}`}, {ErrorCode: "Late"}} {
				eventually(t, "the collector knows that the process is terminal", func(context.Context) bool {
					response, _ := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, late)
					return response.StatusCode == http.StatusConflict
				})
			}
			if after := awaitTerminal(t, p.Name); outputOf(t, after) != output || after.Status.State != v1alpha1.StateComplete {
				t.Errorf("a late result counted: %.300v", after.Status)
			}
		})
	}
}

// An input that the store does not have any more, or not as it was written, ends the
// process: no attempt can succeed.
func TestInputIsLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"stored-gone": os.Remove,
		"stored-damaged": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("y", 100<<10)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, pod := startProcess(t, name, strings.Repeat("x", 100<<10))
			path := filepath.Join(strings.TrimPrefix(objects, "file://"), payload.Key(p.Namespace, p.Name, p.Spec.StoredInput))
			if err := lose(path); err != nil {
				t.Fatal(err)
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, collectorURL+agentapi.InputPath, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+token(t, "procman-worker", agentapi.Audience, pod))
			if response, err := http.DefaultClient.Do(request); err == nil {
				got, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK && err == nil {
					t.Errorf("the agent gets %d bytes as the whole input", len(got))
				}
			}
			if s := awaitTerminal(t, p.Name).Status; s.ErrorCode != "InternalError" || !strings.Contains(s.ErrorDetails, "was lost in the object store") {
				t.Errorf("the status is %+v", s)
			}
		})
	}
}

func TestCollectorAuthentication(t *testing.T) {
	t.Parallel()
	p, pod := startProcess(t, "intruders", `{"private":true}`)
	stranger := create(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "stranger", Labels: pod.Labels},
		Spec:       pod.Spec,
	})
	other := pod.DeepCopy()
	other.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: "another-account", Labels: pod.Labels, OwnerReferences: pod.OwnerReferences}
	other.Spec.ServiceAccountName = "someone-else"
	create(t, other)
	for name, test := range map[string]struct {
		token string
		want  int
	}{
		"no token":                {"", http.StatusUnauthorized},
		"a forged token":          {"forged", http.StatusUnauthorized},
		"another audience":        {token(t, "procman-worker", "someone", pod), http.StatusUnauthorized},
		"not bound to a pod":      {token(t, "procman-worker", agentapi.Audience, nil), http.StatusUnauthorized},
		"another service account": {token(t, "someone-else", agentapi.Audience, other), http.StatusUnauthorized},
		"a pod without a Job":     {token(t, "procman-worker", agentapi.Audience, stranger), http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			for _, request := range []struct{ method, path string }{{http.MethodGet, agentapi.InputPath}, {http.MethodPut, agentapi.ResultPath}} {
				response, got := callCollector(t, request.method, request.path, test.token, agentapi.Result{Output: `{"forged":true}`})
				if response.StatusCode != test.want || strings.Contains(got, "private") {
					t.Errorf("%s %s: %s: %s, want %d", request.method, request.path, response.Status, got, test.want)
				}
			}
		})
	}
	after := &v1alpha1.Process{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(p), after); err != nil || after.Finished() {
		t.Errorf("a forged result counted: %+v, %v", after.Status, err)
	}
}

func TestTokenIsLimitedToItsProcess(t *testing.T) {
	t.Parallel()
	victim, _ := startProcess(t, "victim", `{"private":true}`)
	own, pod := startProcess(t, "forger-of-results", `{"own":true}`)
	bearer := token(t, "procman-worker", agentapi.Audience, pod)
	// A request has no field that selects the process: the token does.
	for _, path := range []string{agentapi.InputPath, agentapi.InputPath + "?process=victim"} {
		if _, got := callCollector(t, http.MethodGet, path, bearer, nil); got != `{"own":true}` {
			t.Errorf("GET %s returns %s, want the input of its own process", path, got)
		}
	}
	forged := agentapi.Result{Output: `{"forged":true}`, Attempt: 7}
	if response, got := callCollector(t, http.MethodPut, agentapi.ResultPath+"?process=victim&jobName=victim", bearer, forged); response.StatusCode != http.StatusOK {
		t.Fatalf("PUT result: %s: %s", response.Status, got)
	}
	if s := awaitTerminal(t, own.Name).Status; s.Output != `{"forged":true}` || *s.Attempts != 1 || s.JobName != own.Name {
		t.Errorf("the status of its own process is %+v", s)
	}
	after := &v1alpha1.Process{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(victim), after); err != nil || after.Finished() {
		t.Errorf("a forged result counted: %+v, %v", after.Status, err)
	}
}

func TestCollectorRefusesInvalidResults(t *testing.T) {
	t.Parallel()
	p, pod := startProcess(t, "invalid-results", `{}`)
	bearer := token(t, "procman-worker", agentapi.Audience, pod)
	for name, result := range map[string]agentapi.Result{
		"empty":            {},
		"an invalid code":  {ErrorCode: "two words"},
		"details not JSON": {ErrorCode: "No", ErrorDetails: `{`},
	} {
		if response, _ := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, result); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400", name, response.Status)
		}
	}
	if response, _ := callCollector(t, http.MethodPut, agentapi.ProgressPath, bearer, agentapi.Progress{PercentComplete: 101}); response.StatusCode != http.StatusBadRequest {
		t.Errorf("progress of 101: %s, want 400", response.Status)
	}
	after := &v1alpha1.Process{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(p), after); err != nil || after.Finished() {
		t.Errorf("an invalid result counted: %+v, %v", after.Status, err)
	}
}

// The agent checks outputs, but anyone with the token of a worker can send one.
func TestCollectorChecksOutputs(t *testing.T) {
	t.Parallel()
	for name, output := range map[string]string{"invalid-json": `{"a":`, "not-an-object": `[1]`} {
		p, pod := startProcess(t, name, `{}`)
		bearer := token(t, "procman-worker", agentapi.Audience, pod)
		if response, got := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, agentapi.Result{Output: output}); response.StatusCode != http.StatusOK {
			t.Errorf("PUT %s: %s: %s, want 200", output, response.Status, got)
		}
		if s := awaitTerminal(t, p.Name).Status; s.ErrorCode != "OutputInvalid" || s.Output != "" {
			t.Errorf("the output %s: unexpected status %+v, want OutputInvalid", output, s)
		}
	}
}

func TestSupersededAttemptDoesNotCount(t *testing.T) {
	t.Parallel()
	p, first := startProcess(t, "superseded", `{}`)
	old := token(t, "procman-worker", agentapi.Audience, first)
	if response, got := callCollector(t, http.MethodGet, agentapi.InputPath, old, nil); response.StatusCode != http.StatusOK {
		t.Fatalf("GET input: %s: %s", response.Status, got)
	}
	// A crash that can be retried is acknowledged but not committed.
	if response, got := callCollector(t, http.MethodPut, agentapi.ResultPath, old, agentapi.Result{ErrorCode: "WorkerFailed", Retry: true}); response.StatusCode != http.StatusOK {
		t.Fatalf("PUT a crash: %s: %s", response.Status, got)
	}
	// Creation times have whole seconds, so wait: the second pod must be newer.
	eventually(t, "a second has passed", func(context.Context) bool { return metav1.Now().Unix() > first.CreationTimestamp.Unix() })
	second := addPod(t, awaitJob(t, p), "superseded-2")
	eventually(t, "the first pod is superseded", func(context.Context) bool {
		response, _ := callCollector(t, http.MethodGet, agentapi.InputPath, old, nil)
		return response.StatusCode == http.StatusGone
	})
	if response, _ := callCollector(t, http.MethodPut, agentapi.ResultPath, old, agentapi.Result{Output: `{"from":1}`}); response.StatusCode != http.StatusGone {
		t.Errorf("PUT result of the first pod: %s, want 410", response.Status)
	}
	bearer := token(t, "procman-worker", agentapi.Audience, second)
	if in, _, err := getInput(t, bearer); err != nil || in.Attempt != 2 {
		t.Errorf("the second is attempt %d: %v", in.Attempt, err)
	}
	if response, _ := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, agentapi.Result{Output: `{"from":2}`}); response.StatusCode != http.StatusOK {
		t.Errorf("PUT result of the second: %s", response.Status)
	}
	if s := awaitTerminal(t, p.Name).Status; s.Output != `{"from":2}` {
		t.Errorf("unexpected status %+v", s)
	}
}

func TestOneOfManyResultsCounts(t *testing.T) {
	t.Parallel()
	p, pod := startProcess(t, "many", `{}`)
	bearer := token(t, "procman-worker", agentapi.Audience, pod)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			result := agentapi.Result{Output: fmt.Sprintf(`{"from":%d}`, i)}
			if i%4 == 1 {
				result = agentapi.Result{ErrorCode: "No"}
			}
			callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, result)
		})
	}
	group.Wait()
	first := awaitTerminal(t, p.Name)
	callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, agentapi.Result{ErrorCode: "Other"})
	if again := awaitTerminal(t, p.Name); again.ResourceVersion != first.ResourceVersion {
		t.Errorf("the status changed from %+v to %+v", first.Status, again.Status)
	}
}

func TestAttemptStartsAfterItsPause(t *testing.T) {
	t.Parallel()
	const pause = 8 * time.Second
	pt := newType("pausing")
	pt.Spec.BackoffSeconds = int32(pause / time.Second)
	create(t, pt)
	p := newProcess("pausing")
	p.Spec.Type = "pausing"
	create(t, p)
	job := awaitJob(t, p)
	first := addPod(t, job, "pausing-1")
	if response, got := callCollector(t, http.MethodGet, agentapi.InputPath, token(t, "procman-worker", agentapi.Audience, first), nil); response.StatusCode != http.StatusOK {
		t.Fatalf("GET input of the first attempt: %s: %s", response.Status, got)
	}
	crash := metav1.Now().Rfc3339Copy()
	endPod(t, first, corev1.ContainerStateTerminated{ExitCode: 5, FinishedAt: crash})

	bearer := token(t, "procman-worker", agentapi.Audience, addPod(t, job, "pausing-2"))
	eventually(t, "the second attempt has to wait", func(context.Context) bool {
		_, _, err := getInput(t, bearer)
		early, ok := errors.AsType[*agentapi.TooEarly](err)
		if ok && (early.Wait < time.Second || early.Wait > pause) {
			t.Errorf("it has to wait %s, want at most %s", early.Wait, pause)
		}
		return ok // not before the crash is in the cache
	})
	eventually(t, "the second attempt gets the input", func(context.Context) bool {
		in, _, err := getInput(t, bearer)
		return err == nil && in.Attempt == 2
	})
	if waited := time.Since(crash.Time); waited < pause {
		t.Errorf("the second attempt got the input %s after the crash, want at least %s", waited, pause)
	}
	if response, got := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, agentapi.Result{Output: `{}`}); response.StatusCode != http.StatusOK {
		t.Fatalf("PUT result: %s: %s", response.Status, got)
	}
	if s := awaitTerminal(t, p.Name).Status; s.State != v1alpha1.StateComplete || *s.Attempts != 2 {
		t.Errorf("unexpected status %+v", s)
	}
}
