// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// awaitJob waits for the Job of a Process.
func awaitJob(t *testing.T, p *v1alpha1.Process) *batchv1.Job {
	t.Helper()
	job := &batchv1.Job{}
	eventually(t, "process "+p.Name+" has a Job", func(ctx context.Context) bool {
		return kube.Get(ctx, client.ObjectKeyFromObject(p), job) == nil
	})
	return job
}

// addPod creates a pod of the Job, as the Job controller does.
func addPod(t *testing.T, job *batchv1.Job, name string) *corev1.Pod {
	t.Helper()
	return create(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, Name: name, Labels: job.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: job.Spec.Template.Spec,
	})
}

// endPod sets a pod to Failed, with its container terminated.
func endPod(t *testing.T, pod *corev1.Pod, ended corev1.ContainerStateTerminated) {
	t.Helper()
	pod.Status.Phase = corev1.PodFailed
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Terminated: &ended}}}
	if err := kube.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

func TestJobOfAProcess(t *testing.T) {
	t.Parallel()
	create(t, newType("any"))
	p := create(t, newProcess("job-of-a-process"))
	job := awaitJob(t, p)
	if !metav1.IsControlledBy(job, p) {
		t.Errorf("the Job's owners are %+v", job.OwnerReferences)
	}
	if job.Labels[v1alpha1.LabelProcess] != p.Name || *job.Spec.BackoffLimit != 2 || job.Spec.Template.Spec.Containers[0].Image != "worker:1" {
		t.Errorf("the Job is %+v", job)
	}
}

func TestReceiptIsCommittedWithoutDelivery(t *testing.T) {
	t.Parallel()
	create(t, newType("receipts"))
	for name, test := range map[string]struct {
		ended  corev1.ContainerStateTerminated
		state  v1alpha1.State
		code   string
		output string
	}{
		"output": {
			corev1.ContainerStateTerminated{Message: string(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: `{"b": 1.0}`}}.Encode())},
			v1alpha1.StateComplete, "", `{"b": 1.0}`,
		},
		"refusal": {
			corev1.ContainerStateTerminated{ExitCode: 113, Message: string(agentapi.Receipt{Result: agentapi.Result{ErrorCode: "No"}}.Encode())},
			v1alpha1.StateError, "No", "",
		},
		"oom": {corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}, v1alpha1.StateError, "OutOfMemory", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess("receipt-" + name)
			p.Spec.Type = "receipts"
			create(t, p)
			endPod(t, addPod(t, awaitJob(t, p), p.Name+"-1"), test.ended)
			s := awaitTerminal(t, p.Name).Status
			if s.State != test.state || s.ErrorCode != test.code || s.Output != test.output || *s.Attempts != 1 || s.JobName != p.Name {
				t.Errorf("unexpected status %+v", s)
			}
			if !s.ExpirationTime.Time.Equal(p.ExpirationTime()) || !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionFinished) {
				t.Errorf("unexpected status %+v", s)
			}
		})
	}
}

// The Job of a process that has ended is deleted early. That does not start the process
// again, nor does it change what the process has become or how many there are.
func TestJobIsDeletedAfterTheEnd(t *testing.T) {
	t.Parallel()
	create(t, newType("cleaned"))
	for name, test := range map[string]struct {
		result agentapi.Result
		keep   time.Duration // as in main_test.go
	}{
		"cleaned-complete": {agentapi.Result{Attempt: 1, Output: `{"b": 1.0}`}, 2 * time.Second},
		"cleaned-failed":   {agentapi.Result{ErrorCode: "No"}, 4 * time.Second},
	} {
		p := newProcess(name)
		p.Spec.Type = "cleaned"
		create(t, p)
		job := awaitJob(t, p)
		if ttl := job.Spec.TTLSecondsAfterFinished; ttl == nil || *ttl != p.Spec.LifetimeSeconds {
			t.Errorf("%s: the Job has ttlSecondsAfterFinished %v, want the lifetime %d", name, ttl, p.Spec.LifetimeSeconds)
		}
		endPod(t, addPod(t, job, name+"-1"), corev1.ContainerStateTerminated{ExitCode: 113, Message: string(agentapi.Receipt{Result: test.result}.Encode())})
		before := awaitTerminal(t, name)
		// The Job controller would report the end now.
		job.Status.StartTime = new(metav1.Now())
		job.Status.Conditions = []batchv1.JobCondition{
			{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
			{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
		}
		if err := kube.Status().Update(t.Context(), job); client.IgnoreNotFound(err) != nil { // on a slow machine it is deleted already
			t.Fatal(err)
		}
		eventually(t, "the Job is deleted", func(ctx context.Context) bool {
			err := kube.Get(ctx, client.ObjectKeyFromObject(p), &batchv1.Job{})
			if apierrors.IsNotFound(err) && metav1.Now().Sub(before.Status.CompletionTime.Time) < test.keep {
				t.Errorf("%s: the Job was deleted less than %s after %s", name, test.keep, before.Status.CompletionTime)
			}
			return apierrors.IsNotFound(err)
		})
		// A later process of the type is reconciled after everything that the deletion caused.
		later := newProcess(name + "-later")
		later.Spec.Type = "cleaned"
		awaitJob(t, create(t, later))
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(p), &batchv1.Job{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s has a Job again: %v", name, err)
		}
		if after := awaitTerminal(t, name); after.ResourceVersion != before.ResourceVersion {
			t.Errorf("%s was written: from %+v to %+v", name, before.Status, after.Status)
		}
	}
	eventually(t, "two processes run and two are finished", func(ctx context.Context) bool {
		pt := &v1alpha1.ProcessType{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "cleaned"}, pt); err != nil {
			t.Fatal(err)
		}
		s := pt.Status
		return s.Queued != nil && *s.Queued == 0 && s.Running != nil && *s.Running == 2 && s.Finished != nil && *s.Finished == 2
	})
}

func TestInputIsValidatedBeforeLaunch(t *testing.T) {
	t.Parallel()
	pt := newType("strict")
	pt.Spec.InputSchema = &apiextensionsv1.JSON{Raw: []byte(`{"type":"object","required":["page"],"properties":{"page":{"type":"integer","minimum":1},"filler":{"type":"string"}}}`)}
	pt.Spec.Limits.InputBytes = 100_000
	create(t, pt)
	for name, test := range map[string]struct{ input, code, details string }{
		"missing":  {`{}`, "MissingInput", `{"in":"body","at":"input.page"}`},
		"unknown":  {`{"page":1,"pgae":2}`, "UnrecognizedInput", `"at":"input.pgae"`},
		"invalid":  {`{"page":0}`, "InvalidInput", `"expected":{"type":"integer","minimum":1}`},
		"no-json":  {`{"page":`, "InvalidInput", ``},
		"no-obj":   {`[1]`, "InvalidInput", `"expected":{"type":"object"}`},
		"large-no": {`{"filler":"` + strings.Repeat("x", 50_000) + `"}`, "MissingInput", `{"in":"body","at":"input.page"}`},
		"too-big":  {`{"page":1,"filler":"` + strings.Repeat("x", 100_000) + `"}`, "InputTooLarge", `"maxBytes":100000`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess("input-" + name)
			p.Spec.Type, p.Spec.Input = "strict", test.input
			create(t, p)
			s := awaitTerminal(t, p.Name).Status
			if s.ErrorCode != test.code || !strings.Contains(s.ErrorDetails, test.details) || s.JobName != "" {
				t.Errorf("unexpected status %+v", s)
			}
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(p), &batchv1.Job{}); !apierrors.IsNotFound(err) {
				t.Errorf("a Job was created: %v", err)
			}
		})
	}
}

func TestTypeIsCreatedAfterItsProcess(t *testing.T) {
	t.Parallel()
	p := newProcess("before-its-type")
	p.Spec.Type = "late"
	create(t, p)
	create(t, newType("late"))
	awaitJob(t, p)
}

func TestTypeIsNeverCreated(t *testing.T) {
	t.Parallel()
	p := newProcess("without-type")
	p.Spec.Type = "never"
	create(t, p)
	if s := awaitTerminal(t, p.Name).Status; s.ErrorCode != "InvalidInput" || !strings.Contains(s.ErrorDetails, `"at":"type"`) {
		t.Errorf("unexpected status %+v", s)
	}
}

func TestForeignJobIsNotTouched(t *testing.T) {
	t.Parallel()
	create(t, newType("squatted"))
	foreign := create(t, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "squatted"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}},
		}}},
	})
	p := newProcess("squatted")
	p.Spec.Type = "squatted"
	create(t, p)
	if s := awaitTerminal(t, p.Name).Status; s.ErrorCode != "NameTaken" {
		t.Errorf("unexpected status %+v", s)
	}
	after := &batchv1.Job{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(p), after); err != nil || after.UID != foreign.UID || after.ResourceVersion != foreign.ResourceVersion {
		t.Errorf("the foreign Job was changed: %v", err)
	}
}

func TestExpiredProcessIsDeleted(t *testing.T) {
	t.Parallel()
	create(t, newType("brief"))
	p := newProcess("brief")
	p.Spec.Type, p.Spec.LifetimeSeconds = "brief", 2
	create(t, p)
	early := false
	eventually(t, "the process is deleted", func(ctx context.Context) bool {
		deleted := apierrors.IsNotFound(kube.Get(ctx, client.ObjectKeyFromObject(p), &v1alpha1.Process{}))
		early = early || deleted && !p.Expired(metav1.Now().Time)
		return deleted
	})
	if early {
		t.Error("the process was deleted before it expired")
	}
}

// A container that the cluster added to the pod of a worker does not stop the next
// attempt.
func TestPodWithASidecar(t *testing.T) {
	t.Parallel()
	create(t, newType("meshed"))
	p := newProcess("meshed")
	p.Spec.Type = "meshed"
	create(t, p)
	job := awaitJob(t, p)
	job.Spec.Template.Spec.Containers = append(job.Spec.Template.Spec.Containers, corev1.Container{Name: "mesh", Image: "mesh:1"})
	pod := addPod(t, job, p.Name+"-1")
	crash := agentapi.Failure("WorkerFailed", map[string]any{"exitCode": 7})
	crash.Retry = true
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "worker", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 7, Message: string(agentapi.Receipt{Result: crash}.Encode()), FinishedAt: metav1.Now(),
		}}},
		{Name: "mesh", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
	}
	if err := kube.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is marked as failed", func(ctx context.Context) bool {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			t.Fatal(err)
		}
		return pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == "WorkerEnded"
	})
	// The Job controller would create the second pod now.
	second := addPod(t, job, p.Name+"-2")
	endPod(t, second, corev1.ContainerStateTerminated{Message: string(agentapi.Receipt{Result: agentapi.Result{Attempt: 2, Output: `{"again":true}`}}.Encode())})
	if s := awaitTerminal(t, p.Name).Status; s.Output != `{"again":true}` {
		t.Errorf("unexpected status %+v", s)
	}
}
