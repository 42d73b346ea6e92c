// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// AnnotationRequirements, on a pod in the operator's cache, is its Requirements. Pods in the
// cluster do not have it.
const AnnotationRequirements = "procman.dev/requirements"

// Requirements returns a hash of everything in a pod's spec that decides which nodes can
// take the pod. Two pods with the same hash can be scheduled in each other's place. It does
// not contain the node: that is the result.
func Requirements(spec *corev1.PodSpec) string {
	type container struct {
		Resources corev1.ResourceRequirements
		Ports     []corev1.ContainerPort
		Restart   *corev1.ContainerRestartPolicy
	}
	requirements := struct {
		Containers, InitContainers []container
		Resources                  *corev1.ResourceRequirements
		Overhead                   corev1.ResourceList
		NodeSelector               map[string]string
		Affinity                   *corev1.Affinity
		Tolerations                []corev1.Toleration
		Spread                     []corev1.TopologySpreadConstraint
		PriorityClass, Scheduler   string
		Priority                   *int32
		Preemption                 *corev1.PreemptionPolicy
		Claims                     []corev1.PodResourceClaim
		Volumes                    []string
		Gates                      []corev1.PodSchedulingGate
	}{
		Resources: spec.Resources, Overhead: spec.Overhead, NodeSelector: spec.NodeSelector, Affinity: spec.Affinity,
		Tolerations: spec.Tolerations, Spread: spec.TopologySpreadConstraints, PriorityClass: spec.PriorityClassName,
		Scheduler: spec.SchedulerName, Priority: spec.Priority, Preemption: spec.PreemptionPolicy, Claims: spec.ResourceClaims,
		Gates: spec.SchedulingGates,
	}
	for _, c := range spec.Containers {
		requirements.Containers = append(requirements.Containers, container{c.Resources, c.Ports, c.RestartPolicy})
	}
	for _, c := range spec.InitContainers {
		requirements.InitContainers = append(requirements.InitContainers, container{c.Resources, c.Ports, c.RestartPolicy})
	}
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			requirements.Volumes = append(requirements.Volumes, v.PersistentVolumeClaim.ClaimName)
		}
	}
	text, err := json.Marshal(requirements)
	if err != nil {
		panic(err) // impossible: all its types are those of the API, which are sent as JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// ScheduledAt returns when a pod was scheduled; zero if it was not.
func ScheduledAt(pod *corev1.Pod) time.Time {
	if c := condition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// waitsForNode reports whether a pod has not been scheduled yet.
func waitsForNode(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending && pod.Spec.NodeName == "" && pod.Status.StartTime == nil && ScheduledAt(pod).IsZero()
}
