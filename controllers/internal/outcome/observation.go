// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/internal/agentapi"
)

// Observation is what the cluster shows of one process at one time.
type Observation struct {
	Now time.Time
	Job *batchv1.Job
	// Attempts are the Job's pods, oldest first.
	Attempts []corev1.Pod
	// Pod is the newest of them, whose result counts; nil when there is no pod.
	Pod *corev1.Pod
	// Worker is the status of that pod's worker container; nil until the kubelet has
	// reported it.
	Worker *corev1.ContainerStatus
	// Terminated is how that container ended; nil when it has not.
	Terminated *corev1.ContainerStateTerminated
	// Receipt is the receipt that the agent wrote; nil when it wrote none.
	Receipt *agentapi.Receipt
	// JobEnd is the condition that shows that the Job creates no more pods; nil when the
	// Job has not ended.
	JobEnd *batchv1.JobCondition
	// Suspended reports whether the Job waits until it is resumed.
	Suspended bool
	// LastScheduled is when a pod with the same Requirements as Pod was last scheduled, as
	// far as the caller knows; zero if it knows of none. Observe does not set it.
	LastScheduled time.Time

	events *eventSummary // nil until AddEvents
}

// Observe gathers the facts about a Job. pods must include all pods of the Job, and
// may include others.
func Observe(job *batchv1.Job, pods []corev1.Pod, now time.Time) *Observation {
	o := &Observation{Now: now, Job: job, Attempts: Attempts(job, pods), JobEnd: EndCondition(job), Suspended: Suspended(job)}
	if len(o.Attempts) == 0 {
		return o
	}
	o.Pod = &o.Attempts[len(o.Attempts)-1]
	o.Worker = workerStatus(o.Pod)
	if o.Worker == nil || o.Worker.State.Terminated == nil {
		return o
	}
	o.Terminated = o.Worker.State.Terminated
	if receipt, err := agentapi.DecodeReceipt(o.Terminated.Message); err == nil {
		o.Receipt = &receipt
	}
	return o
}

func (o *Observation) number() int32 { return Number(o.Job, o.Attempts, o.Pod) }

func (o *Observation) workerStarted() bool {
	return o.Worker != nil && (o.Worker.State.Running != nil || o.Worker.State.Terminated != nil)
}

// EndCondition returns the condition that shows that a Job creates no more pods; nil when
// the Job has not ended.
func EndCondition(job *batchv1.Job) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet:
			return c
		default: // a suspended Job can be resumed
		}
	}
	return nil
}

// Suspended reports whether a Job waits until somebody, such as Kueue, resumes it.
// A Job that has ended or is being deleted does not. A resumed Job counts as
// suspended until the Job controller has removed the condition, since only then its
// status.startTime is the time of the resumption.
func Suspended(job *batchv1.Job) bool {
	if job.DeletionTimestamp != nil || EndCondition(job) != nil {
		return false
	}
	if job.Spec.Suspend != nil && *job.Spec.Suspend {
		return true
	}
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobSuspended && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// workerStatus returns the status of a pod's worker container; nil until the kubelet
// has reported it.
func workerStatus(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == jobspec.WorkerContainer {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// condition returns a pod's condition of the given type; nil when the pod does not have it.
func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// disruption returns the condition DisruptionTarget of a pod that the cluster itself
// ended; nil for any other pod.
func disruption(pod *corev1.Pod) *corev1.PodCondition {
	if c := condition(pod, corev1.DisruptionTarget); c != nil && c.Status == corev1.ConditionTrue {
		return c
	}
	return nil
}

// Alive reports whether a pod has not ended. A pod that has ended is never restarted.
func Alive(pod corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded
}

// endTime returns when a pod ended: the latest time in its status.
func endTime(pod *corev1.Pod) time.Time {
	last := pod.CreationTimestamp.Time
	if s := workerStatus(pod); s != nil && s.State.Terminated != nil {
		last = later(last, s.State.Terminated.FinishedAt.Time)
	}
	for _, c := range pod.Status.Conditions {
		last = later(last, c.LastTransitionTime.Time)
	}
	return last
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
