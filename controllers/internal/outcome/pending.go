package outcome

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/internal/errorcode"
)

// withoutPod looks at a Job that has no pod: not yet, or no longer.
func withoutPod(job *batchv1.Job, now time.Time) Decision {
	if _, isOver := jobEnded(job); isOver || Suspended(job) {
		return afterJob(job, now, Decision{})
	}
	if job.Status.Active > 0 || job.Status.Failed > 0 {
		return Decision{} // the cache of pods is behind, or somebody deletes them
	}
	return startBound(job, startOf(job), now, func() Decision {
		d := noPod(job)
		d.provisional = true
		return d
	})
}

// noPod is the end of a Process whose Job got no pod. Only its events say why.
func noPod(job *batchv1.Job) Decision {
	d := result(errorcode.StartTimeout, "the cluster made no pod for the worker in its type's startTimeoutSeconds", nil)
	d.Explain = job.UID
	return d
}

// judgePending looks at a pod whose worker has not started: what keeps it, and
// whether it has had its time.
func judgePending(job *batchv1.Job, pod *corev1.Pod, now time.Time) Decision {
	if waiting := waitingContainer(pod); waiting != nil {
		switch waiting.State.Waiting.Reason {
		case "InvalidImageName", "ErrImageNeverPull":
			return result(errorcode.ImagePullFailed, waiting.State.Waiting.Message, map[string]any{"image": waiting.Image})
		}
	}
	return startBound(job, pod.CreationTimestamp.Time, now, func() Decision { return lateStart(pod) })
}

// lateStart names what a pod's time to start was spent on.
func lateStart(pod *corev1.Pod) Decision {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return result(errorcode.Unschedulable, "no node took the worker's pod in its type's startTimeoutSeconds: "+c.Message, nil)
		}
	}
	waiting := waitingContainer(pod)
	if waiting == nil && sandboxReady(pod) {
		return result(errorcode.ImagePullFailed, "the image was still being pulled when its type's startTimeoutSeconds were over", map[string]any{"image": workerImage(pod)})
	}
	late := "the worker's pod did not start in its type's startTimeoutSeconds"
	if waiting == nil {
		d := result(errorcode.StartTimeout, late, nil)
		d.Explain = pod.UID // a volume that is not there, a network that is not made
		return d
	}
	why := waiting.State.Waiting
	details := map[string]any{"reason": why.Reason}
	switch why.Reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed":
		details["image"] = waiting.Image
		return result(errorcode.ImagePullFailed, why.Message, details)
	}
	return result(errorcode.StartTimeout, late+": "+why.Message, details)
}

// waitingContainer is the pod's first container that waits and says why, init
// containers first; nil when none does.
func waitingContainer(pod *corev1.Pod) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			waiting := statuses[i].State.Waiting
			if waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating" {
				return &statuses[i]
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
