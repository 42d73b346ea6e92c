// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/timing"
)

// Attempts returns the pods that the Job controls, oldest first.
func Attempts(job *batchv1.Job, pods []corev1.Pod) []corev1.Pod {
	own := make([]corev1.Pod, 0, len(pods))
	for _, pod := range pods {
		if metav1.IsControlledBy(&pod, job) {
			own = append(own, pod)
		}
	}
	slices.SortFunc(own, func(a, b corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return own
}

// Number returns the number of a pod's attempt, from 1. attempts are the Job's,
// oldest first. The Job's count of failures includes attempts whose pods were deleted.
func Number(job *batchv1.Job, attempts []corev1.Pod, pod *corev1.Pod) int32 {
	index := indexOf(attempts, pod)
	number := int32(index + 1)
	if index == len(attempts)-1 && pod.Status.Phase != corev1.PodFailed {
		number = max(number, job.Status.Failed+1)
	}
	return max(number, 1)
}

// Last reports whether a failure of the pod is final: its Job creates no pod after it.
// It uses the Job's count of failures, which does not include attempts that the cluster
// interrupted. The count may already include the failure of this pod.
func Last(job *batchv1.Job, pod *corev1.Pod) bool {
	failures := int(job.Status.Failed)
	if pod.Status.Phase != corev1.PodFailed {
		failures++
	}
	return failures >= attemptLimit(job)
}

// DueAt returns when the worker of a pod may start: after the crash of the previous
// attempt and the pause that follows from the type's backoffSeconds. It is zero if
// there is nothing to wait for: the type has no backoffSeconds, that attempt did not
// crash, or its pod was deleted. attempts are the Job's, oldest first. Interrupted
// attempts are skipped: the pod after them waits for the rest of the pause.
func DueAt(job *batchv1.Job, attempts []corev1.Pod, pod *corev1.Pod) time.Time {
	seconds, err := strconv.ParseInt(job.Annotations[v1alpha1.AnnotationBackoffSeconds], 10, 32)
	index := indexOf(attempts, pod)
	if err != nil || index < 0 {
		return time.Time{}
	}
	counted := slices.DeleteFunc(slices.Clone(attempts[:index]), func(p corev1.Pod) bool { return interrupted(&p) })
	if len(counted) == 0 || !crashed(&counted[len(counted)-1]) {
		return time.Time{}
	}
	end := endTime(&counted[len(counted)-1])
	if created := pod.CreationTimestamp.Time; end.After(created) {
		end = created // the clock of its node is ahead: it ended before this pod was created
	}
	return end.Add(timing.TypePause(int32(seconds), max(int32(len(counted)), job.Status.Failed)))
}

func indexOf(attempts []corev1.Pod, pod *corev1.Pod) int {
	return slices.IndexFunc(attempts, func(p corev1.Pod) bool { return p.UID == pod.UID })
}

// interrupted reports whether the cluster or a person ended the pod.
func interrupted(pod *corev1.Pod) bool {
	status := workerStatus(pod)
	return disruption(pod) != nil || pod.Status.Reason == reasonEvicted ||
		status != nil && status.State.Terminated != nil && status.State.Terminated.ExitCode == agentapi.ExitInterrupted
}

// crashed reports whether the pod's worker ended on its own, for any reason.
func crashed(pod *corev1.Pod) bool {
	status := workerStatus(pod)
	return status != nil && status.State.Terminated != nil && pod.Status.Reason != ReasonNodeLost
}
