// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/internal/errorcode"
)

// Rule is one conclusion about a process.
type Rule struct {
	// Name is also the rule's name in docs/process.md.
	Name string
	// Code is the errorCode of the rule's results. It is empty for a rule that only
	// waits, fails a pod, or passes on the result in a receipt.
	Code string
	// When is the first condition for the rule to apply.
	When func(*Observation) bool
	// Decide returns the decision, or nil when the rule does not apply although When is
	// true.
	Decide func(*Observation) *Decision
}

// Rules are all rules, in order. A rule may assume that no rule above it applied.
var Rules = []Rule{
	{"JobDeleted", "", jobDeleted, waitForChange},

	// The newest pod has ended.
	{"ResultReported", "", reported, finalResult},
	{"OutputUndelivered", errorcode.ResultLost, reported, outputUndelivered},
	{"OutOfMemory", errorcode.OutOfMemory, unreported, outOfMemory},
	{"CannotStart", errorcode.WorkerFailed, unreported, cannotStart},
	{"PodDeadline", errorcode.DeadlineExceeded, unreported, podDeadline},
	{"EvictedTooOften", errorcode.Evicted, unreported, evictedTooOften},
	{"LastPodAbandoned", errorcode.NodeLost, lastUnreported, lastPodAbandoned},
	{"LastPodEvicted", errorcode.Evicted, lastUnreported, evicted},
	{"LastFailureReported", "", jobEnded, receiptResult},
	{"LastPodFailed", errorcode.WorkerFailed, lastUnreported, lastPodFailed},
	{"Suspended", "", suspended, waitForChange},
	{"PodOutlivesWorker", "", workerEnded, podOutlivesWorker},
	{"NoNextPod", errorcode.StartTimeout, podEnded, noNextPod},

	// The newest pod has not ended.
	{"NodeLost", errorcode.NodeLost, lastNodeSilent, nodeLost},
	{"PodAbandoned", "", nodeSilent, podAbandoned},
	{"PodDeleted", "", podDeleted, waitForNode},
	{"ImageNameInvalid", errorcode.ImagePullFailed, podPending, imageNameInvalid},
	{"PodStarting", "", podPending, podStarting},
	{"Unschedulable", errorcode.Unschedulable, podPending, unschedulable},
	{"ImageNotPulled", errorcode.ImagePullFailed, podPending, imageNotPulled},
	{"PodNotStarted", errorcode.StartTimeout, podPending, podNotStarted},

	// The newest pod is running, or there is no pod.
	{"JobEnding", "", jobEnded, jobEnding},
	{"JobDeadline", errorcode.DeadlineExceeded, jobEnded, jobDeadline},
	{"PodsDeleted", errorcode.WorkerFailed, jobEnded, podsDeleted},
	{"ResultMissing", errorcode.ResultLost, jobEnded, resultMissing},
	{"PodRunning", "", hasPod, waitForNode},
	{"PodsUnknown", "", podsCounted, waitForChange},
	{"NoPod", errorcode.StartTimeout, always, noPod},
}

// OverdueRules decide instead of a rule that waits, once the process has used up
// the time that all its attempts have together.
var OverdueRules = []Rule{
	{"OverdueDisrupted", errorcode.Evicted, hasPod, overdueDisrupted},
	{"Overdue", errorcode.DeadlineExceeded, hasPod, overdue},
	{"OverdueWithoutPod", errorcode.StartTimeout, always, podNotCreated},
}

func always(*Observation) bool       { return true }
func jobDeleted(o *Observation) bool { return o.Job.DeletionTimestamp != nil }
func jobEnded(o *Observation) bool   { return o.JobEnd != nil }
func suspended(o *Observation) bool  { return o.Suspended }
func hasPod(o *Observation) bool     { return o.Pod != nil }
func podPending(o *Observation) bool { return hasPod(o) && o.Pod.Status.Phase == corev1.PodPending }
func podDeleted(o *Observation) bool { return hasPod(o) && o.Pod.DeletionTimestamp != nil }

func workerEnded(o *Observation) bool { return o.Terminated != nil }

// podEnded reports whether the worker of the newest pod, or the whole pod, has ended.
func podEnded(o *Observation) bool { return workerEnded(o) || hasPod(o) && !Alive(*o.Pod) }

// reported reports whether the receipt shows how the worker ended. The receipt of an
// interrupted worker does not: it contains no result of the work.
func reported(o *Observation) bool       { return o.Receipt != nil && !o.Receipt.Interrupted }
func unreported(o *Observation) bool     { return podEnded(o) && !reported(o) }
func lastUnreported(o *Observation) bool { return jobEnded(o) && unreported(o) }

// nodeSilent reports whether the newest pod must have ended, but its node has not
// reported that. A pod that waits for a node has none, unless it is being deleted.
func nodeSilent(o *Observation) bool {
	return hasPod(o) && (podDeleted(o) || !waitsForNode(o.Pod)) && !o.Now.Before(o.reportBound())
}

// lastNodeSilent reports the same for the last possible attempt.
func lastNodeSilent(o *Observation) bool { return nodeSilent(o) && Last(o.Job, o.Pod) }

// podsCounted reports whether the Job has created pods that it counts.
func podsCounted(o *Observation) bool { return o.Job.Status.Active > 0 || o.Job.Status.Failed > 0 }
