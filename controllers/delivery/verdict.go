package delivery

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// verdict is what a probe's pod says about image volumes on this cluster.
type verdict struct {
	// over says that the pod will say nothing else.
	over bool
	// works: the agent ran out of an image volume. Only ever with over.
	works bool
	// why is the pod's own word, for the log.
	why string
}

// judge reads the pod as the API server returned it. Only a run of the agent to
// its end proves anything: image volumes can be dropped by the API server, be
// refused by the runtime, or be mounted empty. What may pass, such as a slow pull,
// is waited for.
func judge(pod *corev1.Pod) verdict {
	if !hasImageVolume(pod) {
		return verdict{over: true, why: "the API server dropped the image volume"}
	}
	return verdict{
		over:  pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,
		works: pod.Status.Phase == corev1.PodSucceeded,
		why:   describe(pod),
	}
}

// describe is what the pod's status has to say.
func describe(pod *corev1.Pod) string {
	words := []string{"the probe's pod is " + string(pod.Status.Phase)}
	if pod.Status.Message != "" {
		words = append(words, pod.Status.Message)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			words = append(words, c.Message)
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			words = append(words, fmt.Sprintf("its container waits: %s %s", c.State.Waiting.Reason, c.State.Waiting.Message))
		case c.State.Terminated != nil:
			words = append(words, fmt.Sprintf("its container ended with %d: %s %s", c.State.Terminated.ExitCode, c.State.Terminated.Reason, c.State.Terminated.Message))
		}
	}
	return strings.Join(words, ", ")
}

func hasImageVolume(pod *corev1.Pod) bool {
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil {
			return true
		}
	}
	return false
}
