// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processstatus

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

func TestTerminal(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 5, 0, time.UTC)
	created := metav1.NewTime(now.Add(-5 * time.Second))
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: created},
		Spec:       v1alpha1.ProcessSpec{LifetimeSeconds: 60},
		Status:     v1alpha1.ProcessStatus{State: v1alpha1.StateProcessing, PercentComplete: new(int32(40))},
	}
	finished := func(reason, message string) []metav1.Condition {
		return []metav1.Condition{{Type: "Finished", Status: "True", Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now)}}
	}
	base := v1alpha1.ProcessStatus{
		PercentComplete: new(int32(40)), CompletionTime: metav1.NewTime(now), ExpirationTime: metav1.NewTime(created.Add(time.Minute)), JobName: "job",
	}
	for name, test := range map[string]struct {
		result agentapi.Result
		want   func(*v1alpha1.ProcessStatus)
	}{
		"complete": {
			agentapi.Result{Attempt: 2, StartTime: now.Add(-time.Second), Output: `{"a": 1.0}`},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.Output, s.Attempts, s.StartTime = "complete", `{"a": 1.0}`, new(int32(2)), metav1.NewTime(now.Add(-time.Second))
				s.Conditions = finished("Complete", "the worker delivered its output")
			},
		},
		"a progress that was not reported": {
			agentapi.Result{Output: `{}`, PercentComplete: new(int32(100))},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.Output, s.PercentComplete = "complete", `{}`, new(int32(100))
				s.Conditions = finished("Complete", "the worker delivered its output")
			},
		},
		"the worker's own error": {
			agentapi.Result{Attempt: 1, ErrorCode: "No", ErrorDetails: `{"page": 1.0}`},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails, s.Attempts = "error", "No", `{"page": 1.0}`, new(int32(1))
				s.Conditions = finished("No", "the worker ended the process with an error of its own; see status.errorDetails")
			},
		},
		"a crash, with its attempts": {
			agentapi.Result{Attempt: 3, ErrorCode: "WorkerFailed", ErrorDetails: `{"exitCode":1}`, Retry: true},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails, s.Attempts = "error", "WorkerFailed", `{"attempts":3,"exitCode":1}`, new(int32(3))
				s.Conditions = finished("WorkerFailed", "exit code 1")
			},
		},
		"a crash, with standard error": {
			agentapi.Result{Attempt: 3, ErrorCode: "WorkerFailed", ErrorDetails: `{"exitCode":1,"stderr":"no <paper>"}`, Retry: true},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails, s.Attempts, s.Stderr = "error", "WorkerFailed", `{"attempts":3,"exitCode":1}`, new(int32(3)), "no <paper>"
				s.Conditions = finished("WorkerFailed", "exit code 1")
			},
		},
		"a crash before the worker was started, with a log": {
			agentapi.Result{ErrorCode: "WorkerFailed", ErrorDetails: `{"message":"why","stderr":"` + strings.Repeat("é", 3000) + `"}`, Retry: true},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails, s.Stderr = "error", "WorkerFailed", `{"message":"why"}`, strings.Repeat("é", 2048)
				s.Conditions = finished("WorkerFailed", "why")
			},
		},
		"standard error that is not a text": {
			agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", ErrorDetails: `{"stderr":["forged"]}`, Retry: true},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails, s.Attempts = "error", "WorkerFailed", `{"attempts":1}`, new(int32(1))
				s.Conditions = finished("WorkerFailed", "the worker ended the process with an error of its own; see status.errorDetails")
			},
		},
		"the worker's own error has a member stderr": {
			agentapi.Result{Attempt: 1, ErrorCode: "No", ErrorDetails: `{"stderr": "its own"}`},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails, s.Attempts = "error", "No", `{"stderr": "its own"}`, new(int32(1))
				s.Conditions = finished("No", "the worker ended the process with an error of its own; see status.errorDetails")
			},
		},
		"a pod that failed before its worker was started": {
			agentapi.Result{ErrorCode: "WorkerFailed", ErrorDetails: `{"message":"why"}`, Retry: true},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails = "error", "WorkerFailed", `{"message":"why"}`
				s.Conditions = finished("WorkerFailed", "why")
			},
		},
		"what the platform found": {
			agentapi.Result{ErrorCode: "Unschedulable", ErrorDetails: `{"message":"no node"}`},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails = "error", "Unschedulable", `{"message":"no node"}`
				s.Conditions = finished("Unschedulable", "no node")
			},
		},
		"a message that is too long": {
			agentapi.Result{ErrorCode: "Evicted", ErrorDetails: `{"message":"` + strings.Repeat("é", 600) + `"}`},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails = "error", "Evicted", `{"message":"`+strings.Repeat("é", 600)+`"}`
				s.Conditions = finished("Evicted", strings.Repeat("é", 512))
			},
		},
		"details longer than a status takes": {
			agentapi.Result{ErrorCode: "InvalidInput", ErrorDetails: `{"in":"body","at":"input.a","expected":{"enum":["` + strings.Repeat("x", 70_000) + `"]}}`},
			func(s *v1alpha1.ProcessStatus) {
				s.State, s.ErrorCode, s.ErrorDetails = "error", "InvalidInput", `{"at":"input.a","in":"body"}`
				s.Conditions = finished("InvalidInput", "at input.a")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := base
			test.want(&want)
			if diff := cmp.Diff(want, Terminal(p, nil, test.result, "job", now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Clients get standard error only if the type shows it. It is in the status in any case.
func TestStderrOfAType(t *testing.T) {
	r := agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", ErrorDetails: `{"exitCode":1,"stderr":"no paper"}`, Retry: true}
	for visibility, want := range map[v1alpha1.StderrVisibility]string{
		"":                    `{"attempts":1,"exitCode":1}`,
		v1alpha1.StderrHidden: `{"attempts":1,"exitCode":1}`,
		v1alpha1.StderrShown:  `{"attempts":1,"exitCode":1,"stderr":"no paper"}`,
	} {
		processType := &v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{Stderr: visibility}}
		got := Terminal(&v1alpha1.Process{}, processType, r, "job", time.Now())
		if got.ErrorDetails != want || got.Stderr != "no paper" {
			t.Errorf("%q: the details are %s, the status has %q", visibility, got.ErrorDetails, got.Stderr)
		}
	}
}
