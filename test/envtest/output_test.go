// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"net/http"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// TestOutputIsValidated: an output is validated whether it was delivered or comes
// from the receipt.
func TestOutputIsValidated(t *testing.T) {
	t.Parallel()
	pt := newType("lines")
	pt.Spec.OutputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","required":["lines"],"properties":{"lines":{"type":"array","items":{"type":"string","maxLength":5}}}}`)}
	create(t, pt)
	for name, test := range map[string]struct{ output, details string }{ // complete if there are no details
		"valid":   {`{"lines":["a", "b"]}`, ""},
		"invalid": {`{"lines":["longer"]}`, `{"in":"output","at":"output.lines[0]","expected":{"type":"string","maxLength":5},`},
		"missing": {`{}`, `{"in":"output","at":"output.lines",`},
		"unnamed": {`{"lines":[],"more":1}`, `{"in":"output","at":"output.more",`},
		"large":   {`{"lines":["` + strings.Repeat("x", 100<<10) + `"]}`, `{"in":"output","at":"output.lines[0]",`},
	} {
		check := func(t *testing.T, p *v1alpha1.Process) {
			t.Helper()
			s := awaitTerminal(t, p.Name).Status
			if test.details == "" && (s.State != v1alpha1.StateComplete || s.Output != test.output) {
				t.Errorf("the status is %+v, want it complete", s)
			}
			if test.details != "" && (s.ErrorCode != "OutputInvalid" || !strings.HasPrefix(s.ErrorDetails, test.details) || s.Output != "" || *s.Attempts != 1) {
				t.Errorf("the status is %+v, want OutputInvalid with %s", s, test.details)
			}
		}
		launch := func(t *testing.T, name string) (*v1alpha1.Process, *corev1.Pod) {
			t.Helper()
			p := newProcess(name)
			p.Spec.Type = "lines"
			create(t, p)
			return p, addPod(t, awaitJob(t, p), name+"-1")
		}
		t.Run(name+", delivered", func(t *testing.T) {
			t.Parallel()
			p, pod := launch(t, "lines-delivered-"+name)
			bearer := token(t, "procman-worker", agentapi.Audience, pod)
			// The delivery succeeds even if the output is invalid.
			if response, got := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, agentapi.Result{Output: test.output}); response.StatusCode != http.StatusOK {
				t.Fatalf("PUT result: %s: %s", response.Status, got)
			}
			check(t, p)
		})
		if len(test.output) > agentapi.MaxReceiptBytes {
			continue
		}
		t.Run(name+", in the receipt", func(t *testing.T) {
			t.Parallel()
			p, pod := launch(t, "lines-receipt-"+name)
			message := string(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: test.output}}.Encode())
			endPod(t, pod, corev1.ContainerStateTerminated{Message: message})
			check(t, p)
		})
	}
}

// TestInvalidReceipt: a worker can write its own termination message. What is not a
// receipt is ignored; an output in a receipt is checked like any other.
func TestInvalidReceipt(t *testing.T) {
	t.Parallel()
	create(t, newType("forger"))
	for name, test := range map[string]struct{ message, errorCode string }{
		"no-json": {`{"output":"no JSON"}`, "OutputInvalid"},
		"twice":   {`{"output":"{\"a\":1,\"a\":2}"}`, "OutputInvalid"},
		"code":    {`{"errorCode":"two words"}`, "WorkerFailed"},
		"cut":     {`{"output":`, "WorkerFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess("forger-" + name)
			p.Spec.Type = "forger"
			create(t, p)
			pod := addPod(t, awaitJob(t, p), p.Name+"-1")
			endPod(t, pod, corev1.ContainerStateTerminated{ExitCode: 1, Message: test.message})
			failJob(t, p)
			if s := awaitTerminal(t, p.Name).Status; s.ErrorCode != test.errorCode || s.Output != "" {
				t.Errorf("unexpected status %+v, want %s", s, test.errorCode)
			}
		})
	}
}

// failJob sets the Job of a Process to Failed, as the Job controller does after the
// last attempt.
func failJob(t *testing.T, p *v1alpha1.Process) {
	t.Helper()
	job := awaitJob(t, p)
	job.Status.StartTime = &job.CreationTimestamp
	for _, kind := range []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(), Reason: "BackoffLimitExceeded",
		})
	}
	if err := kube.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}
