// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/timing"
)

// Reasons in the status of pods that the operator marks as failed.
const (
	// ReasonNodeLost: the operator abandoned the pod, because its node does not answer.
	ReasonNodeLost = "NodeLost"
	// ReasonWorkerEnded: only containers that the cluster added were still running.
	ReasonWorkerEnded = "WorkerEnded"
)

// ConditionMarkedFailed is the condition of these pods. Its last transition is the time
// at which the operator marked the pod.
const ConditionMarkedFailed corev1.PodConditionType = "procman.dev/MarkedFailed"

// Reasons that the kubelet gives.
const (
	reasonEvicted          = "Evicted"
	reasonOOMKilled        = "OOMKilled"
	reasonDeadlineExceeded = "DeadlineExceeded"
)

// receiptResult applies when there is a receipt, final or not.
func receiptResult(o *Observation) *Decision {
	if o.Receipt == nil {
		return nil
	}
	return &Decision{Result: new(o.Receipt.Result)}
}

// finalResult applies when no other attempt can change the result in the receipt.
func finalResult(o *Observation) *Decision {
	if o.Receipt.Retry || o.Receipt.Truncated && o.Receipt.ErrorCode == "" {
		return nil
	}
	return receiptResult(o)
}

// outputUndelivered applies when the worker finished, but its output did not fit
// into the receipt. In most cases it was delivered, and the cache does not show it
// yet.
func outputUndelivered(o *Observation) *Decision {
	if o.Receipt.Retry {
		return nil
	}
	if d := o.waitUntil(o.Terminated.FinishedAt.Add(settleTime)); d != nil {
		return d
	}
	d := fail(errorcode.ResultLost, "the worker finished, but its output could not be delivered to the operator, and it is too large for the pod's status; send the work again", nil)
	d.Result.Attempt, d.Result.StartTime = o.Receipt.Attempt, o.Receipt.StartTime
	return d
}

// outOfMemory applies when the kernel killed the worker, or an init container.
func outOfMemory(o *Observation) *Decision {
	var container string
	switch failed := o.failedInit(); {
	case o.Terminated != nil && o.Terminated.Reason == reasonOOMKilled:
		container = "the worker"
	case failed != nil && failed.State.Terminated.Reason == reasonOOMKilled:
		container = "the container " + failed.Name + ", which prepares the worker's pod,"
	default:
		return nil
	}
	return fail(errorcode.OutOfMemory, container+" reached its memory limit and was killed; raise spec.template.resources.limits.memory of its type, or send a smaller input", nil)
}

// cannotStart applies when the container runtime could not execute the agent.
func cannotStart(o *Observation) *Decision {
	if o.Terminated == nil || o.Terminated.Reason != "StartError" && o.Terminated.Reason != "ContainerCannotRun" {
		return nil
	}
	// The runtime has no separate reason for a working directory that the user may not
	// enter. Its message names the system call that failed.
	hint := "the image of a type with agent: Embedded must contain " + agentapi.AgentPath
	if strings.Contains(o.Terminated.Message, "chdir") {
		hint = "the worker's user must be able to enter the WORKDIR of the image"
	}
	return fail(errorcode.WorkerFailed, "the worker's container cannot be started ("+hint+"): "+o.Terminated.Message,
		map[string]any{"exitCode": o.Terminated.ExitCode})
}

// podDeadline applies when the kubelet ended the pod at its activeDeadlineSeconds.
func podDeadline(o *Observation) *Decision {
	if o.Pod.Status.Reason != reasonDeadlineExceeded {
		return nil
	}
	return fail(errorcode.DeadlineExceeded, "the pod ran longer than it may take to start, run and deliver its result", nil)
}

// evictedTooOften applies when nodes evicted as many pods as the type has attempts.
// The Job does not count evictions, and would never stop creating pods.
func evictedTooOften(o *Observation) *Decision {
	evictions := 0
	for i := range o.Attempts {
		if o.Attempts[i].Status.Reason == reasonEvicted {
			evictions++
		}
	}
	if o.Pod.Status.Reason != reasonEvicted || evictions < attemptLimit(o.Job) {
		return nil
	}
	d := evicted(o)
	// The status of an evicted pod does not always show that the worker ran.
	d.Result.Attempt = o.number()
	return d
}

// evicted applies when the node or the cluster ended the pod.
func evicted(o *Observation) *Decision {
	details := o.exitCode()
	if o.Pod.Status.Reason == reasonEvicted {
		return fail(errorcode.Evicted, "the node evicted the worker's pod: "+o.Pod.Status.Message, details)
	}
	if c := disruption(o.Pod); c != nil {
		details["reason"] = c.Reason
		return fail(errorcode.Evicted, "the cluster ended the worker's pod: "+c.Message, details)
	}
	return nil
}

// lastPodAbandoned applies when the operator abandoned the pod.
func lastPodAbandoned(o *Observation) *Decision {
	if o.Pod.Status.Reason != ReasonNodeLost {
		return nil
	}
	return nodeLost(o)
}

// lastPodFailed applies to all other ends: the worker left no receipt, and neither
// the node nor the cluster ended its pod.
func lastPodFailed(o *Observation) *Decision {
	details, message := o.exitCode(), "the worker's pod ended without a result"
	if failed := o.failedInit(); failed != nil {
		end := failed.State.Terminated
		details["exitCode"] = end.ExitCode
		message = "the container " + failed.Name + ", which prepares the worker's pod, failed: " + cmp.Or(end.Message, end.Reason)
	}
	if o.Terminated != nil && o.Receipt == nil && o.Terminated.Message != "" {
		details["stderr"] = o.Terminated.Message // the end of the log: no receipt was written
	}
	if s := o.Pod.Status; s.Reason != "" || s.Message != "" {
		details["reason"] = s.Reason
		message += ": " + s.Message
	}
	d := fail(errorcode.WorkerFailed, message, details)
	d.Result.Retry = true // so that the number of attempts is added to its details
	return d
}

// podOutlivesWorker applies when other containers, such as those of a service mesh,
// keep the pod alive after its worker has ended: the Job waits for the end of the pod.
func podOutlivesWorker(o *Observation) *Decision {
	if !Alive(*o.Pod) {
		return nil
	}
	since := o.Terminated.FinishedAt.Time
	if o.Pod.DeletionTimestamp != nil {
		since = later(since, o.Pod.DeletionTimestamp.Time)
	}
	if d := o.waitUntil(since.Add(settleTime)); d != nil {
		return d
	}
	return &Decision{Fail: &PodFailure{
		Pod: o.Pod, Reason: ReasonWorkerEnded,
		Message: "the worker has ended, and only other containers were still running",
	}}
}

// noNextPod waits for the next pod, which the Job creates after its pause.
func noNextPod(o *Observation) *Decision {
	due := endTime(o.Pod).Add(timing.JobPause(int32(len(o.Attempts))))
	if d := o.waitUntil(o.startBound(due)); d != nil {
		return d
	}
	return podNotCreated(o)
}

// failedInit returns the init container whose failure prevented the start of the
// worker; nil when there is none.
func (o *Observation) failedInit() *corev1.ContainerStatus {
	if o.Terminated != nil {
		return nil // the worker has started; only sidecars can have ended since then
	}
	for i := range o.Pod.Status.InitContainerStatuses {
		status := &o.Pod.Status.InitContainerStatuses[i]
		if status.State.Terminated != nil && status.State.Terminated.ExitCode != 0 {
			return status
		}
	}
	return nil
}

// exitCode returns errorDetails with the worker's exit code, if the worker has ended and
// was not interrupted.
func (o *Observation) exitCode() map[string]any {
	if o.Terminated == nil || o.Terminated.ExitCode == agentapi.ExitInterrupted {
		return map[string]any{}
	}
	return map[string]any{"exitCode": o.Terminated.ExitCode}
}
