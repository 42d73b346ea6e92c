// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// finding is what a probe's pod shows about image volumes on this cluster.
type finding struct {
	// done is true if the finding cannot change any more.
	done bool
	// works is true if the agent ran from an image volume. Then done is true too.
	works bool
	// cause describes the pod, for the log.
	cause string
}

// examine returns the finding for a pod as the API server returned it. Only a successful
// run of the agent proves that image volumes work: the API server can drop them, the
// container runtime can refuse them, or the directory can be empty.
func examine(pod *corev1.Pod) finding {
	if !hasImageVolume(pod) {
		return finding{done: true, cause: "the API server dropped the image volume"}
	}
	return finding{
		done:  pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,
		works: pod.Status.Phase == corev1.PodSucceeded,
		cause: describe(pod),
	}
}

// describe returns the pod's status as one line.
func describe(pod *corev1.Pod) string {
	parts := []string{"the probe's pod is " + string(pod.Status.Phase)}
	if pod.Status.Message != "" {
		parts = append(parts, pod.Status.Message)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			parts = append(parts, c.Message)
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			parts = append(parts, fmt.Sprintf("its container waits: %s %s", c.State.Waiting.Reason, c.State.Waiting.Message))
		case c.State.Terminated != nil:
			parts = append(parts, fmt.Sprintf("its container exited with %d: %s %s", c.State.Terminated.ExitCode, c.State.Terminated.Reason, c.State.Terminated.Message))
		}
	}
	return strings.Join(parts, ", ")
}

func hasImageVolume(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Image != nil })
}
