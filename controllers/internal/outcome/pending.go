package outcome

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// judgePending looks at a pod whose worker has not started: what keeps it, and
// whether it has had its time.
func judgePending(job *batchv1.Job, pod *corev1.Pod, now time.Time) Decision {
	if waiting := waitingReason(pod); waiting != nil {
		switch waiting.Reason {
		case "InvalidImageName", "ErrImageNeverPull":
			return result(errorcode.ImagePullFailed, waiting.Message, map[string]any{"image": workerImage(pod)})
		}
	}
	return startBound(job, pod.CreationTimestamp.Time, now, func() Decision { return lateStart(pod) })
}

// lateStart names what a pod's time to start was spent on.
func lateStart(pod *corev1.Pod) Decision {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return result(errorcode.Unschedulable, "no node took the worker's pod: "+c.Message, nil)
		}
	}
	waiting := waitingReason(pod)
	if waiting == nil && sandboxReady(pod) {
		return result(errorcode.ImagePullFailed, "the image was still being pulled when its type's startTimeoutSeconds were over", map[string]any{"image": workerImage(pod)})
	}
	if waiting == nil {
		return result(errorcode.StartTimeout, "the worker's pod did not start in its type's startTimeoutSeconds", nil)
	}
	details := map[string]any{"reason": waiting.Reason}
	switch waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff":
		details["image"] = workerImage(pod)
		return result(errorcode.ImagePullFailed, waiting.Message, details)
	}
	message := waiting.Message
	if message == "" {
		message = "the worker's pod did not start in its type's startTimeoutSeconds"
	}
	return result(errorcode.StartTimeout, message, details)
}

// waitingReason is why the pod's first waiting container waits, init containers
// first; nil when none does or the kubelet does not say.
func waitingReason(pod *corev1.Pod) *corev1.ContainerStateWaiting {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			waiting := statuses[i].State.Waiting
			if waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating" {
				return waiting
			}
		}
	}
	return nil
}

// sandboxReady says whether the pod has its volumes and its network: a container
// that does not run then waits for its image.
func sandboxReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReadyToStartContainers {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func workerImage(pod *corev1.Pod) string {
	if status := workerStatus(pod); status != nil {
		return status.Image
	}
	return ""
}

// result is a verdict of the platform's, with a message that says what to do.
func result(code, message string, details map[string]any) Decision {
	if details == nil {
		details = map[string]any{}
	}
	details["message"] = message
	return Decision{Result: new(agentapi.Failure(code, details))}
}
