// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// at is the time so many seconds after the Job's creation.
func at(seconds int) metav1.Time {
	return metav1.NewTime(start.Add(time.Duration(seconds) * time.Second))
}

type jobOption func(*batchv1.Job)

// newJob is a Job with 3 attempts. A pod has 60 s to start, and is killed 100 s
// after its start, or 10 s later if it ignores SIGTERM.
func newJob(options ...jobOption) *batchv1.Job {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", UID: "job", CreationTimestamp: at(0),
			Annotations: map[string]string{v1alpha1.AnnotationStartTimeoutSeconds: "60"},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(2)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				ActiveDeadlineSeconds: new(int64(100)), TerminationGracePeriodSeconds: new(int64(10)),
			}},
		},
	}
	for _, o := range options {
		o(job)
	}
	return job
}

// overallEnd is the overall bound of newJob, in seconds: for each attempt 60 s to
// start and 110 s in all, the pauses before the second and the third, and 30 s for
// nodes to report.
const overallEnd = 30 + 3*(60+110) + 10 + 20

func withCondition(kind batchv1.JobConditionType, seconds int, reason string) jobOption {
	return func(j *batchv1.Job) {
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at(seconds), Reason: reason,
		})
	}
}

func withStartTime(seconds int) jobOption {
	return func(j *batchv1.Job) { j.Status.StartTime = new(at(seconds)) }
}

func withFailures(n int32) jobOption {
	return func(j *batchv1.Job) { j.Status.Failed = n }
}

func withBackoffSeconds(seconds string) jobOption {
	return func(j *batchv1.Job) { j.Annotations[v1alpha1.AnnotationBackoffSeconds] = seconds }
}

func withSuspend(j *batchv1.Job)    { j.Spec.Suspend = new(true) }
func withDeletion(j *batchv1.Job)   { j.DeletionTimestamp = new(at(1)) }
func withOneAttempt(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(0)) }

type podOption func(*corev1.Pod)

// newPod is a pending pod of newJob, created so many seconds after the Job.
func newPod(seconds int, options ...podOption) corev1.Pod {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%d", seconds), UID: types.UID(fmt.Sprint(seconds)), CreationTimestamp: at(seconds),
			OwnerReferences: []metav1.OwnerReference{{UID: "job", Controller: new(true)}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, o := range options {
		o(&pod)
	}
	return pod
}

func withWaiting(reason, message string) podOption {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "worker", Image: "the-image", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
}

func withRunning(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

// withTerminated is a worker that ended 10 seconds after its pod's creation.
func withTerminated(code int32, reason, message string) podOption {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: message, FinishedAt: metav1.NewTime(p.CreationTimestamp.Add(10 * time.Second)),
		}}}}
	}
}

func withReceipt(r agentapi.Receipt) podOption {
	return withTerminated(1, "Error", string(r.Encode()))
}

// withFailedInit is a worker that was not started because an init container failed.
func withFailedInit(reason, message string) podOption {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "agent", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: reason, Message: message,
		}}}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}}
	}
}

func withPodCondition(c corev1.PodCondition) podOption {
	return func(p *corev1.Pod) { p.Status.Conditions = append(p.Status.Conditions, c) }
}

var (
	withoutNode    = withPodCondition(corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes"})
	withSandbox    = withPodCondition(corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue})
	withDisruption = withPodCondition(corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", Message: "a more important pod",
	})
)

// withScheduling is a pod that was scheduled so many seconds after the Job's creation.
func withScheduling(seconds int) podOption {
	return withPodCondition(corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(seconds)})
}

func withFailure(p *corev1.Pod)  { p.Status.Phase = corev1.PodFailed }
func withoutOwner(p *corev1.Pod) { p.OwnerReferences = nil }

func withEviction(p *corev1.Pod) {
	p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, reasonEvicted, "no disk"
}

func withDeadlineExceeded(p *corev1.Pod) {
	p.Status.Phase, p.Status.Reason = corev1.PodFailed, reasonDeadlineExceeded
}

func withPhase(phase corev1.PodPhase) podOption {
	return func(p *corev1.Pod) { p.Status.Phase = phase }
}

// withSidecar is a pod in which a container that the cluster added still runs.
func withSidecar(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	mesh := corev1.ContainerStatus{Name: "mesh", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	p.Status.ContainerStatuses = append([]corev1.ContainerStatus{mesh}, p.Status.ContainerStatuses...)
}

// withMark is a pod that the operator marked as failed because only a sidecar was left.
func withMark(seconds int) podOption {
	return func(p *corev1.Pod) {
		withSidecar(p)
		p.Status.Phase, p.Status.Reason = corev1.PodFailed, ReasonWorkerEnded
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: ConditionMarkedFailed, Status: corev1.ConditionTrue, LastTransitionTime: at(seconds)})
	}
}

// withAbandonment is a pod that the operator has abandoned.
func withAbandonment(p *corev1.Pod) {
	p.Status.Phase, p.Status.Reason, p.Spec.NodeName = corev1.PodFailed, ReasonNodeLost, "node-7"
}

func withNode(name string) podOption { return func(p *corev1.Pod) { p.Spec.NodeName = name } }

// withPodDeletion is a pod that must have ended so many seconds after the Job's
// creation.
func withPodDeletion(seconds int) podOption {
	return func(p *corev1.Pod) { p.DeletionTimestamp = new(at(seconds)) }
}

// newEvent is an event that was last seen so many seconds after the Job's creation.
func newEvent(kind, reason, message string, seconds int) corev1.Event {
	return corev1.Event{Type: kind, Reason: reason, Message: message, LastTimestamp: at(seconds)}
}
