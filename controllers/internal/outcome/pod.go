// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/internal/errorcode"
)

// nodeLost ends a process without another attempt.
func nodeLost(o *Observation) *Decision {
	node := o.Pod.Spec.NodeName
	return fail(errorcode.NodeLost, "the node of the worker's pod does not answer, and it is not known whether the worker finished; see kubectl describe node "+node,
		map[string]any{"node": node})
}

// podAbandoned marks the pod as failed, so that the Job starts another attempt. The
// worker may still run on the lost node, so the abandoned pod counts as an attempt.
func podAbandoned(o *Observation) *Decision {
	return &Decision{Fail: &PodFailure{
		Pod: o.Pod, Reason: ReasonNodeLost,
		Message: "the node of the pod does not answer; the process runs on another node",
	}}
}

// waitForNode waits for the node to report the end of the pod.
func waitForNode(o *Observation) *Decision { return o.waitUntil(o.reportBound()) }

// reportBound returns the time at which the node must have reported the end of the
// newest pod, whatever the worker does. The pod must not have ended.
func (o *Observation) reportBound() time.Time {
	if o.Pod.DeletionTimestamp != nil { // it includes the grace period
		return o.Pod.DeletionTimestamp.Add(nodeReportTime)
	}
	since := later(o.Pod.CreationTimestamp.Time, ScheduledAt(o.Pod))
	if o.Pod.Status.StartTime != nil {
		since = o.Pod.Status.StartTime.Time
	}
	return since.Add(longestAttempt(o.Job) + nodeReportTime)
}

// imageNameInvalid applies when pulling the image again cannot succeed.
func imageNameInvalid(o *Observation) *Decision {
	if c := o.waitingContainer(); c != nil {
		switch c.State.Waiting.Reason {
		case "InvalidImageName", "ErrImageNeverPull":
			return fail(errorcode.ImagePullFailed, c.State.Waiting.Message, map[string]any{"image": c.Image})
		}
	}
	return nil
}

// podStarting applies while the pod has time to start. The rules after it find out why
// the pod did not start in time.
func podStarting(o *Observation) *Decision {
	if waitsForNode(o.Pod) {
		return o.waitUntil(o.scheduleBound())
	}
	return o.waitUntil(o.startBound(later(o.Pod.CreationTimestamp.Time, ScheduledAt(o.Pod))))
}

// unschedulable applies when no node accepted the pod, nor another pod with the same
// requirements. A full cluster that still takes such pods is not an error: this pod waits.
func unschedulable(o *Observation) *Decision {
	c := condition(o.Pod, corev1.PodScheduled)
	if c == nil || c.Status != corev1.ConditionFalse {
		return nil
	}
	return fail(errorcode.Unschedulable, "no node accepted the worker's pod, or another one with the same requirements, within startTimeoutSeconds of its type: "+c.Message, nil)
}

// imageNotPulled applies when pulling an image failed, or is not finished.
func imageNotPulled(o *Observation) *Decision {
	container := o.waitingContainer()
	if container == nil {
		// A pod whose volumes and network are ready waits only for images.
		if c := condition(o.Pod, corev1.PodReadyToStartContainers); c == nil || c.Status != corev1.ConditionTrue {
			return nil
		}
		image := ""
		if o.Worker != nil {
			image = o.Worker.Image
		}
		return fail(errorcode.ImagePullFailed, "the image was still being pulled after startTimeoutSeconds of its type", map[string]any{"image": image})
	}
	switch waiting := container.State.Waiting; waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed":
		return fail(errorcode.ImagePullFailed, waiting.Message, map[string]any{"image": container.Image, "reason": waiting.Reason})
	}
	return nil
}

// podNotStarted applies to all other causes: a volume, the network, or a container
// that cannot be created.
func podNotStarted(o *Observation) *Decision {
	const message = "the worker's pod did not start within startTimeoutSeconds of its type"
	if c := o.waitingContainer(); c != nil {
		waiting := c.State.Waiting
		return fail(errorcode.StartTimeout, message+": "+waiting.Message, map[string]any{"reason": waiting.Reason})
	}
	return o.failStartTimeout(message, o.Pod.UID)
}

// waitingContainer returns the first container, init containers first, that waits for
// something other than the preparation of the pod; nil when there is none.
func (o *Observation) waitingContainer() *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{o.Pod.Status.InitContainerStatuses, o.Pod.Status.ContainerStatuses} {
		for i := range statuses {
			waiting := statuses[i].State.Waiting
			if waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating" {
				return &statuses[i]
			}
		}
	}
	return nil
}
