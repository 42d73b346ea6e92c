package outcome

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/controllers/internal/jobspec"
)

// Attempts are the pods that the Job controls, oldest first. Others that carry
// the same labels are strangers.
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

// Number is which attempt a pod is, from 1. attempts are the Job's, oldest
// first; earlier ones that are gone are known from the Job's count of failures.
func Number(job *batchv1.Job, attempts []corev1.Pod, pod *corev1.Pod) int32 {
	index := slices.IndexFunc(attempts, func(p corev1.Pod) bool { return p.UID == pod.UID })
	number := int32(index + 1)
	if index == len(attempts)-1 && pod.Status.Phase != corev1.PodFailed {
		number = max(number, job.Status.Failed+1)
	}
	return max(number, 1)
}

// workerStatus is the status of the pod's worker container; nil before the
// kubelet has given one.
func workerStatus(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == jobspec.WorkerContainer {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// started says whether the pod's worker container ever ran.
func started(pod *corev1.Pod) bool {
	status := workerStatus(pod)
	return status != nil && (status.State.Running != nil || status.State.Terminated != nil)
}
