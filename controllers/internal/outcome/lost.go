package outcome

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/internal/errorcode"
)

// ReasonNodeLost is the reason in the status of a pod that was abandoned.
const ReasonNodeLost = "NodeLost"

// ConditionAbandoned is that pod's condition; its last transition says when.
const ConditionAbandoned corev1.PodConditionType = "procman.dev/Abandoned"

const reasonEvicted = "Evicted"

// silentAt is when a pod that is not over would be, by all that its node has to
// do, and some more. Past it the node is lost: it is not there, or cut off.
func silentAt(job *batchv1.Job, pod *corev1.Pod) time.Time {
	if pod.DeletionTimestamp != nil { // which has the grace period in it
		return pod.DeletionTimestamp.Add(silence)
	}
	since := pod.CreationTimestamp
	if pod.Status.StartTime != nil {
		since = *pod.Status.StartTime
	}
	return since.Add(longestAttempt(job) + silence)
}

func silent(job *batchv1.Job, pod *corev1.Pod, now time.Time) bool {
	return !over(pod) && !now.Before(silentAt(job, pod))
}

// judgeSilent gives up a pod that nobody hears of. Its worker may still run, so
// that another one beside it takes an attempt of those that the type allows.
func judgeSilent(job *batchv1.Job, attempts []corev1.Pod) Decision {
	pod := &attempts[len(attempts)-1]
	if int(Number(job, attempts, pod)) > limit(job) {
		return nodeLost(pod)
	}
	return Decision{Abandon: pod}
}

func nodeLost(pod *corev1.Pod) Decision {
	return result(errorcode.NodeLost, "the node of the worker's pod does not answer, and whether the worker finished is not known; see kubectl describe node "+pod.Spec.NodeName,
		map[string]any{"node": pod.Spec.NodeName})
}

// over says whether the pod is at its end for good.
func over(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// disruption is the pod's condition that the cluster itself ended it, not its
// worker; nil when it did not.
func disruption(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// evictions is how many of the pods their nodes ended: for want of memory or
// disk, or because a pod used more than it may.
func evictions(pods []corev1.Pod) int {
	n := 0
	for i := range pods {
		if pods[i].Status.Reason == reasonEvicted {
			n++
		}
	}
	return n
}

// endTime is when a pod that is over ended, as far as its status says.
func endTime(pod *corev1.Pod) time.Time {
	last := pod.CreationTimestamp.Time
	if s := workerStatus(pod); s != nil && s.State.Terminated != nil && s.State.Terminated.FinishedAt.After(last) {
		last = s.State.Terminated.FinishedAt.Time
	}
	for _, c := range pod.Status.Conditions {
		if c.LastTransitionTime.After(last) {
			last = c.LastTransitionTime.Time
		}
	}
	return last
}
