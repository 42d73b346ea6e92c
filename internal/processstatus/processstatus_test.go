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
			if diff := cmp.Diff(want, Terminal(p, test.result, "job", now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
