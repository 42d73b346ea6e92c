// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

func TestBadRequestsGetTheViolation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		processType, body string
		status            int
		want              string
	}{
		"no input":            {"ocr", `{}`, 480, `{"errorCode":"MissingInput","errorDetails":{"in":"body","at":"input"}}`},
		"no source":           {"ocr", `{"input":{}}`, 480, `{"errorCode":"MissingInput","errorDetails":{"in":"body","at":"input.source"}}`},
		"an unknown property": {"ocr", `{"input":{"source":{"data":"aa","url":"x"}}}`, 480, `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"body","at":"input.source.url"}}`},
		"beside the input":    {"ocr", `{"input":{"source":{"data":"aa"}},"more":1}`, 480, `{"errorCode":"UnrecognizedInput","errorDetails":{"in":"body","at":"more"}}`},
		"out of range": {
			"ocr", `{"input":{"source":{"data":"aa"},"fields":[{"area":{"x":1,"y":-1,"width":1,"height":1}}]}}`, 480,
			`{"errorCode":"InvalidInput","errorDetails":{"in":"body","at":"input.fields[0].area.y","expected":{"type":"integer","minimum":0,"maximum":1000000}}}`,
		},
		"invalid JSON": {"echo", `{"input":`, 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"body","at":"input","message":"input ends too early","offset":9}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := do(t, http.MethodPost, "/v1/processes/"+test.processType, []byte(test.body))
			if a.status != test.status || string(a.body) != test.want {
				t.Errorf("status %d: %s\nwant %d: %s", a.status, a.body, test.status, test.want)
			}
		})
	}
}

func TestUnknownType(t *testing.T) {
	t.Parallel()
	a := do(t, http.MethodPost, "/v1/processes/no-such-type", []byte(`{"input":{}}`))
	var details struct {
		In, At   string
		Expected struct{ Enum []string }
	}
	if err := json.Unmarshal(a.ErrorDetails, &details); err != nil {
		t.Fatal(err)
	}
	if a.status != 480 || a.ErrorCode != "InvalidInput" || details.In != "path" || details.At != "processType" {
		t.Errorf("POST: status %d: %s", a.status, a.body)
	}
	for _, name := range []string{"echo", "ocr", "ocrReaders"} {
		if !strings.Contains(strings.Join(details.Expected.Enum, " ")+" ", name+" ") {
			t.Errorf("the expected types are %v, without %s", details.Expected.Enum, name)
		}
	}
	if a := get(t, "no-such-type", "abc"); a.status != http.StatusNotFound || a.ErrorCode != "ResourceNotFound" {
		t.Errorf("GET: status %d: %s", a.status, a.body)
	}
}

func TestUnknownIDs(t *testing.T) {
	t.Parallel()
	id := post(t, "echo", `{}`)
	forged := "a" + strings.Repeat("b", len(id)-1)
	for name, path := range map[string]string{
		"a malformed id":    "/v1/processes/echo/hello",
		"a forged id":       "/v1/processes/echo/" + forged,
		"another type's id": "/v1/processes/ocr/" + id,
		"no id":             "/v1/processes",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if a := do(t, http.MethodGet, path, nil); a.status != http.StatusNotFound || string(a.body) != `{"errorCode":"ResourceNotFound"}` {
				t.Errorf("GET: status %d: %s", a.status, a.body)
			}
		})
	}
}

func TestDeprecatedAlias(t *testing.T) {
	t.Parallel()
	a := do(t, http.MethodPost, "/v4/processes/echo/", []byte(`{"input":{"old":true}}`))
	if a.status != http.StatusOK || a.header.Get("Deprecation") == "" || !strings.Contains(a.header.Get("Link"), "/v1/processes/echo") {
		t.Fatalf("POST: status %d, headers %v", a.status, a.header)
	}
	awaitComplete(t, "echo", a.ProcessID)
	if again := do(t, http.MethodGet, "/v4/processes/echo/"+a.ProcessID, nil); again.State != "complete" || again.header.Get("Deprecation") == "" {
		t.Errorf("GET: %s, headers %v", again.body, again.header)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	body := []byte(`{"input":{"filler":"` + strings.Repeat("x", 600<<10) + `"}}`)
	if a := do(t, http.MethodPost, "/v1/processes/echo", body); a.status != http.StatusRequestEntityTooLarge || a.ErrorCode != "InputTooLarge" {
		t.Errorf("POST: status %d: %s", a.status, a.body)
	}
}

// TestProcessCreatedWithKubectl creates Process objects, as kubectl apply does.
func TestProcessCreatedWithKubectl(t *testing.T) {
	t.Parallel()
	create := func(name, processType, input string) {
		createForTest(t, &v1alpha1.Process{
			ObjectMeta: named(name),
			Spec:       v1alpha1.ProcessSpec{Type: processType, Input: input, LifetimeSeconds: 300},
		})
	}
	finished := func(name string) *v1alpha1.Process {
		var p *v1alpha1.Process
		eventually(t, time.Minute, "process "+name+" is terminal", func() bool {
			p = getProcess(t, name)
			return p.Finished()
		})
		return p
	}
	large := `{"filler":"` + strings.Repeat("y", 100<<10) + `"}`
	create("by-hand", "echo", `{"n": 1.0}`)
	create("by-hand-large", "echo", large)
	create("by-hand-wrong", "ocr", `{"source":{"dat":1}}`)
	create("by-hand-unknown", "no-such-type", `{}`)

	if p := finished("by-hand"); p.Status.Output != `{"n": 1.0}` {
		t.Errorf("the output is %q", p.Status.Output)
	}
	if a := awaitComplete(t, "echo", "by-hand"); a.status != http.StatusOK || string(a.Output) != `{"n": 1.0}` {
		t.Errorf("GET: status %d: %s", a.status, a.body)
	}
	if p := finished("by-hand-large"); int(p.Status.StoredOutput.Bytes) != len(large) {
		t.Errorf("the large output is %+v: %s %s", p.Status.StoredOutput, p.Status.ErrorCode, p.Status.ErrorDetails)
	}
	if a := awaitComplete(t, "echo", "by-hand-large"); string(a.Output) != large {
		t.Errorf("GET of the large output: status %d: %.100s", a.status, a.body)
	}
	if p := finished("by-hand-wrong"); p.Status.ErrorCode != "MissingInput" || !strings.Contains(p.Status.ErrorDetails, `"at":"input.source.data"`) {
		t.Errorf("wrong input: %s %s", p.Status.ErrorCode, p.Status.ErrorDetails)
	}
	if p := finished("by-hand-unknown"); p.Status.ErrorCode != "InvalidInput" || !strings.Contains(p.Status.ErrorDetails, `"enum":["`) {
		t.Errorf("unknown type: %s %s", p.Status.ErrorCode, p.Status.ErrorDetails)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	registerEcho(t, "echo-brief", func(s *v1alpha1.ProcessTypeSpec) {
		s.LifetimeSeconds, s.TimeoutSeconds, s.Attempts = 90, 90, 1 // enough for a worker on a busy machine
	})
	done := post(t, "echo-brief", `{}`)
	running := post(t, "echo-brief", `{"echo":{"seconds":250}}`)
	awaitComplete(t, "echo-brief", done)

	expires, err := time.Parse("2006-01-02T15:04:05.000Z", get(t, "echo-brief", running).ExpirationDateTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{done, running} {
		eventually(t, 3*time.Minute, "process "+id+" has expired", func() bool {
			asked := time.Now()
			a := get(t, "echo-brief", id)
			if a.status == http.StatusOK && asked.After(expires.Add(100*time.Millisecond)) {
				t.Errorf("%s was still returned at %s, but it expired at %s", id, asked, expires)
			}
			if a.status == http.StatusGone && time.Now().Before(expires.Add(-time.Second)) {
				t.Errorf("%s got 410 before it expired at %s", id, expires)
			}
			return a.status == http.StatusGone && a.ErrorCode == "ResourceExpired"
		})
	}
	// Everything that belongs to them is deleted, including the running worker.
	eventually(t, time.Minute, "Processes, Jobs and pods are deleted", func() bool {
		for _, id := range []string{done, running} {
			key := client.ObjectKey{Namespace: workNamespace, Name: id}
			if !apierrors.IsNotFound(kube.Get(t.Context(), key, &v1alpha1.Process{})) || !apierrors.IsNotFound(kube.Get(t.Context(), key, &batchv1.Job{})) || len(workerPods(t, id)) > 0 {
				return false
			}
		}
		return true
	})
	if a := get(t, "echo-brief", done); a.status != http.StatusGone || string(a.body) != `{"errorCode":"ResourceExpired"}` {
		t.Errorf("GET after deletion: status %d: %s", a.status, a.body)
	}
}

// TestJobOfACompleteProcessIsDeleted: a minute after the end its Job and pod are deleted, and
// GET still returns the same. Those of a process in error are still there then.
func TestJobOfACompleteProcessIsDeleted(t *testing.T) {
	t.Parallel()
	failed, done := post(t, "echo", `{"echo":{"error":{"errorCode":"No"}}}`), post(t, "echo", `{"a":1.0}`)
	awaitError(t, "echo", failed, "No")
	before := awaitComplete(t, "echo", done)
	completed := getProcess(t, done).Status.CompletionTime
	eventually(t, time.Minute+slowMargin, "the Job and the pod of the complete process are deleted", func() bool {
		err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: done}, &batchv1.Job{})
		if apierrors.IsNotFound(err) && time.Since(completed.Time) < time.Minute {
			t.Fatalf("the Job was deleted less than a minute after %s", completed)
		}
		return apierrors.IsNotFound(err) && len(workerPods(t, done)) == 0
	})
	if pods := workerPods(t, failed); len(pods) != 1 || getJob(t, failed).DeletionTimestamp != nil {
		t.Errorf("the process in error has %d pods, want 1, and its Job", len(pods))
	}
	if after := get(t, "echo", done); string(after.body) != string(before.body) {
		t.Errorf("GET returns\n%s\nbefore the Job was deleted it returned\n%s", after.body, before.body)
	}
}

// TestWorkerPodsAreRestricted checks the rights of a worker's pod.
func TestWorkerPodsAreRestricted(t *testing.T) {
	t.Parallel()
	id := post(t, "echo", `{}`)
	awaitComplete(t, "echo", id)
	pods := workerPods(t, id)
	if len(pods) == 0 {
		t.Fatal("the process has no pod")
	}
	for _, pod := range pods {
		if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
			t.Error("the pod gets a token for the API server")
		}
		for _, volume := range pod.Spec.Volumes {
			if volume.Projected == nil {
				continue
			}
			for _, source := range volume.Projected.Sources {
				if token := source.ServiceAccountToken; token == nil || token.Audience != "procman-collector" {
					t.Errorf("volume %s contains %+v, want only a token for the collector", volume.Name, source)
				}
			}
		}
		for _, c := range pod.Spec.Containers {
			if s := c.SecurityContext; s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation {
				t.Errorf("container %s has the security context %+v, want a restricted one", c.Name, s)
			}
			for _, env := range c.Env {
				if strings.Contains(env.Value, "hello") {
					t.Errorf("the input is in the environment: %s", env.Name)
				}
			}
		}
	}
	if len(pods) != 1 {
		t.Errorf("there are %d pods, want 1", len(pods))
	}
}
