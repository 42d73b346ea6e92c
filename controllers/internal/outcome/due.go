package outcome

import (
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/internal/agentapi"
)

// DueAt is when the worker of a pod may start: the type's pause after the crash
// of the attempt before it. Zero when there is nothing to wait for: the type asks
// for no pause, the attempt before did not crash, or its pod is gone. attempts
// are the Job's, oldest first. A pod that was interrupted is passed over: the one
// in its place waits for what is left of the pause.
func DueAt(job *batchv1.Job, attempts []corev1.Pod, pod *corev1.Pod) time.Time {
	seconds, err := strconv.ParseInt(job.Annotations[v1alpha1.AnnotationBackoffSeconds], 10, 32)
	index := slices.IndexFunc(attempts, func(p corev1.Pod) bool { return p.UID == pod.UID })
	if err != nil || index < 0 {
		return time.Time{}
	}
	counted := slices.DeleteFunc(slices.Clone(attempts[:index]), func(p corev1.Pod) bool { return interrupted(&p) })
	if len(counted) == 0 {
		return time.Time{}
	}
	last := &counted[len(counted)-1]
	if !crashed(last) {
		return time.Time{}
	}
	// Its node's clock may be ahead, but it ended before the next was made.
	end := endTime(last)
	if end.After(pod.CreationTimestamp.Time) {
		end = pod.CreationTimestamp.Time
	}
	return end.Add(jobspec.Pause(int32(seconds), max(int32(len(counted)), job.Status.Failed)))
}

// interrupted says whether the cluster, or somebody, ended the pod.
func interrupted(pod *corev1.Pod) bool {
	status := workerStatus(pod)
	return disruption(pod) != nil || pod.Status.Reason == reasonEvicted ||
		status != nil && status.State.Terminated != nil && status.State.Terminated.ExitCode == agentapi.ExitInterrupted
}

// crashed says whether the pod's worker ended of itself, for whatever reason.
func crashed(pod *corev1.Pod) bool {
	status := workerStatus(pod)
	return status != nil && status.State.Terminated != nil && pod.Status.Reason != ReasonNodeLost
}
