// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// withSidecar registers the echo worker under another name. The cluster adds a container
// to its pods that does not end, and that ignores SIGTERM, as PID 1 does.
func withSidecar(t *testing.T, name string, change func(*v1alpha1.ProcessTypeSpec)) {
	t.Helper()
	mutateJobs(t, name, map[string]string{"containers/-": `{
		"name": "mesh", "image": "procman.local/pdftext-worker:dev", "command": ["/bin/sleep", "3600"],
		"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
	}`})
	registerEcho(t, name, change)
}

// A container that the cluster added does not keep a process, its attempts, its queue or
// its pods alive.
func TestSidecars(t *testing.T) {
	t.Parallel()
	t.Run("complete", func(t *testing.T) {
		t.Parallel()
		withSidecar(t, "sidecar-complete", func(*v1alpha1.ProcessTypeSpec) {})
		id := post(t, "sidecar-complete", `{"a":1}`)
		awaitComplete(t, "sidecar-complete", id)
		if n := len(getJob(t, id).Spec.Template.Spec.Containers); n != 2 {
			t.Fatalf("the pod has %d containers, want the worker and the sidecar", n)
		}
		// 30 s until the Job is deleted, and 30 s of grace for the sidecar.
		eventually(t, time.Minute+slowMargin, "the Job and its pod are deleted", func() bool {
			err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, &batchv1.Job{})
			return apierrors.IsNotFound(err) && len(workerPods(t, id)) == 0
		})
		if a := get(t, "sidecar-complete", id); a.State != "complete" {
			t.Errorf("the process is then in state %s", a.State)
		}
	})
	t.Run("another attempt", func(t *testing.T) {
		t.Parallel()
		withSidecar(t, "sidecar-retry", func(s *v1alpha1.ProcessTypeSpec) { s.Attempts = 2 })
		id := post(t, "sidecar-retry", `{"echo":{"failAttempts":1},"a":1}`)
		awaitComplete(t, "sidecar-retry", id)
		if attempts := getProcess(t, id).Status.Attempts; attempts == nil || *attempts != 2 {
			t.Errorf("attempts are %v, want 2", attempts)
		}
	})
	t.Run("the last attempt", func(t *testing.T) {
		t.Parallel()
		withSidecar(t, "sidecar-fails", func(s *v1alpha1.ProcessTypeSpec) { s.Attempts = 2 })
		id := post(t, "sidecar-fails", `{"echo":{"exitCode":7}}`)
		a := awaitError(t, "sidecar-fails", id, "WorkerFailed")
		if details := string(a.ErrorDetails); !strings.Contains(details, `"exitCode":7`) || !strings.Contains(details, `"attempts":2`) {
			t.Errorf("the details are %s", details)
		}
	})
	t.Run("a queue", func(t *testing.T) {
		t.Parallel()
		withSidecar(t, "sidecar-queue", func(s *v1alpha1.ProcessTypeSpec) { s.MaxConcurrent = 1 })
		var ids []string
		for range 3 {
			ids = append(ids, post(t, "sidecar-queue", `{"a":1}`))
		}
		for _, id := range ids {
			awaitComplete(t, "sidecar-queue", id)
		}
	})
}
