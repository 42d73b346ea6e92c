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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"procman.dev/procman/api/v1alpha1"
)

func TestEchoReturnsItsInputByteForByte(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"the order of keys":       `{"zebra":1,"apple":2,"mango":{"b":1,"a":2}}`,
		"integers of 20 digits":   `{"n":12345678901234567890,"m":-98765432109876543210}`,
		"decimals as written":     `{"a":1.0,"b":1.50,"c":1e5,"d":0.10,"e":-0}`,
		"all kinds of characters": `{"ä€𝄞":"日本語 \u00e9 \"quoted\" \\ \/ <&> \u2028","tab":"\t"}`,
		"white space":             "{ \"a\" :\n\t1 , \"b\": [ ] }",
		"an empty object":         `{}`,
		"400 KiB":                 `{"filler":"` + strings.Repeat("0123456789abcde\\n", 400<<10/17) + `"}`,
		"deep nesting":            strings.Repeat(`{"a":`, 60) + `1` + strings.Repeat(`}`, 60),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := do(t, http.MethodPost, "/v1/processes/echo", []byte(`{"input":`+input+`}`))
			if created.status != http.StatusOK || string(created.Input) != input {
				t.Fatalf("POST: status %d, input %.200q, want %.200q", created.status, created.Input, input)
			}
			a := awaitComplete(t, "echo", created.ProcessID)
			if string(a.Input) != input {
				t.Errorf("the input of GET is %.200q, want %.200q", a.Input, input)
			}
			if string(a.Output) != input {
				t.Errorf("the output is %.200q, want %.200q", a.Output, input)
			}
			if a.ExpirationDateTime != created.ExpirationDateTime {
				t.Errorf("GET returns the expiration %s, POST returned %s", a.ExpirationDateTime, created.ExpirationDateTime)
			}
		})
	}
}

func TestWorkerRefusesItsInput(t *testing.T) {
	t.Parallel()
	id := post(t, "echo", `{"echo":{"exitCode":0,"error":{"errorCode":"PageUpsideDown","errorDetails":{"page":3,"n":1.0}}}}`)
	a := awaitError(t, "echo", id, "PageUpsideDown")
	if string(a.ErrorDetails) != `{"page":3,"n":1.0}` {
		t.Errorf("errorDetails are %s", a.ErrorDetails)
	}
	if again := get(t, "echo", id); string(again.body) != string(a.body) {
		t.Errorf("the second GET returns\n%s\nthe first returned\n%s", again.body, a.body)
	}
	if attempts := getProcess(t, id).Status.Attempts; attempts == nil || *attempts != 1 {
		t.Errorf("attempts are %v, want 1: a refusal is final", attempts)
	}
}

func TestCrashIsRetried(t *testing.T) {
	t.Parallel()
	id := post(t, "echo", `{"echo":{"failAttempts":1},"kept":true}`)
	a := awaitComplete(t, "echo", id)
	if string(a.Output) != string(a.Input) {
		t.Errorf("the output is %s", a.Output)
	}
	if attempts := getProcess(t, id).Status.Attempts; attempts == nil || *attempts != 2 {
		t.Errorf("attempts are %v, want 2", attempts)
	}
}

func TestPauseBetweenAttempts(t *testing.T) {
	t.Parallel()
	const pause = 20 * time.Second // Kubernetes' own backoff is 10 s
	registerEcho(t, "echo-pausing", func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.BackoffSeconds = 2, int32(pause/time.Second) })
	id := post(t, "echo-pausing", `{"echo":{"failAttempts":1}}`)
	awaitComplete(t, "echo-pausing", id)
	s := getProcess(t, id).Status
	if s.Attempts == nil || *s.Attempts != 2 {
		t.Fatalf("attempts are %v, want 2", s.Attempts)
	}
	var crash, next time.Time
	for _, pod := range workerPods(t, id) {
		if pod.Status.Phase == corev1.PodFailed {
			crash = pod.Status.ContainerStatuses[0].State.Terminated.FinishedAt.Time
		} else {
			next = pod.CreationTimestamp.Time
		}
	}
	if waited := s.StartTime.Sub(crash); crash.IsZero() || waited < pause || waited > pause+slowMargin {
		t.Errorf("the second worker started %s after the crash, want %s and at most %s more", waited, pause, slowMargin)
	} else {
		t.Logf("the second worker started %s after the crash, and its pod was created %s after it", waited, next.Sub(crash))
	}
}

func TestErrorCodeOfAWorkersEnd(t *testing.T) {
	t.Parallel()
	registerEcho(t, "echo-once", func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Limits.OutputBytes = 1, 1000 })
	registerEcho(t, "echo-frank", func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Stderr = 1, v1alpha1.StderrShown })
	registerEcho(t, "echo-hurried", func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.TimeoutSeconds = 1, 3 })
	for name, test := range map[string]struct {
		script, code string
		details      []string
	}{
		"exit code":          {`{"exitCode":7}`, "WorkerFailed", []string{`{"attempts":1,"exitCode":7}`}},
		"shown stderr":       {`{"exitCode":7}`, "WorkerFailed", []string{`"exitCode":7`, `"attempts":1`, "exiting with 7, as the input asks"}},
		"reserved exit code": {`{"exitCode":113}`, "WorkerFailed", []string{`"exitCode":113`}},
		"signal":             {`{"signal":"TERM"}`, "WorkerFailed", []string{`"signal":"SIGTERM"`}},
		"no output":          {`{"noOutput":true}`, "OutputMissing", nil},
		"invalid JSON":       {`{"outputText":"{\"a\":"}`, "OutputInvalid", []string{`"in":"output"`, `"at":"output.a"`}},
		"not an object":      {`{"output":[1]}`, "OutputInvalid", []string{`"expected":{"type":"object"}`}},
		"output too large":   {`{"outputBytes":1001}`, "OutputTooLarge", []string{`"bytes":1001`, `"maxBytes":1000`}},
		"bad error file":     {`{"error":{"errorCode":"not a word"}}`, "OutputInvalid", nil},
		"too slow":           {`{"seconds":60}`, "DeadlineExceeded", []string{`"timeoutSeconds":3`}},
		"out of memory":      {`{"memoryMiB":512}`, "OutOfMemory", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			processType := "echo-once"
			switch {
			case test.code == "DeadlineExceeded":
				processType = "echo-hurried"
			case name == "shown stderr":
				processType = "echo-frank"
			}
			id := post(t, processType, `{"echo":`+test.script+`}`)
			a := awaitError(t, processType, id, test.code)
			for _, want := range test.details {
				if !strings.Contains(string(a.ErrorDetails), strings.ReplaceAll(want, `\`, ``)) {
					t.Errorf("errorDetails are %s, want %s in them", a.ErrorDetails, want)
				}
			}
			// Clients get it from types that show it; kubectl always does.
			if got := getProcess(t, id).Status.Stderr; strings.Contains(test.script, "exitCode") != strings.Contains(got, "exiting with") {
				t.Errorf("status.stderr is %q", got)
			}
			if a.Output != nil {
				t.Errorf("the output is %s, want none", a.Output)
			}
		})
	}
}

func TestWorkerThatCannotStart(t *testing.T) {
	t.Parallel()
	registerEcho(t, "echo-noimage", func(s *v1alpha1.ProcessTypeSpec) {
		s.Image, s.StartTimeoutSeconds = "procman.local/no-such-image:dev", 20
	})
	registerEcho(t, "echo-badimage", func(s *v1alpha1.ProcessTypeSpec) { s.Image = "Not An Image!" })
	registerEcho(t, "echo-huge", func(s *v1alpha1.ProcessTypeSpec) {
		s.StartTimeoutSeconds = 20
		s.Template.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
	})
	registerEcho(t, "echo-nocommand", func(s *v1alpha1.ProcessTypeSpec) { s.Command = []string{"/no-such-program"} })
	for processType, code := range map[string]string{
		"echo-noimage":   "ImagePullFailed",
		"echo-badimage":  "ImagePullFailed",
		"echo-huge":      "Unschedulable",
		"echo-nocommand": "WorkerFailed",
	} {
		t.Run(processType, func(t *testing.T) {
			t.Parallel()
			a := awaitError(t, processType, post(t, processType, `{}`), code)
			if !strings.Contains(string(a.ErrorDetails), `"message":`) {
				t.Errorf("errorDetails are %s, want a message", a.ErrorDetails)
			}
		})
	}
}

func TestProgressIsShown(t *testing.T) {
	t.Parallel()
	id := post(t, "echo", `{"echo":{"seconds":12,"progress":[25,50]}}`)
	var seen []int
	eventually(t, time.Minute, "the process is terminal", func() bool {
		a := get(t, "echo", id)
		if n := a.PercentComplete; n != nil && (len(seen) == 0 || seen[len(seen)-1] != *n) {
			seen = append(seen, *n)
		}
		return a.State != "processing"
	})
	if text, _ := json.Marshal(seen); string(text) != "[25,50]" {
		t.Errorf("the progress is %s, want [25,50]", text)
	}
}
