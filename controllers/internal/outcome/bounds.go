// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/timing"
)

const (
	// settleTime is how long after the end of a pod or Job the cache may need until it
	// contains a result that was delivered, or the end of the last pod.
	settleTime = 10 * time.Second
	// nodeReportTime is how long a node may take to report a pod that must have
	// ended.
	nodeReportTime = 30 * time.Second
	// defaultStartTimeout is the API's default of startTimeoutSeconds. It is used for a Job
	// whose annotation was removed.
	defaultStartTimeout = 180 * time.Second
)

// overallBound returns the end of the time that all attempts have together. Attempts
// that the cluster interrupts are not counted, but use up this time too. The time in which
// pods waited for a node is added: a cluster that is full for an hour must not use it up.
func (o *Observation) overallBound() time.Time {
	bound := startOf(o.Job).Add(nodeReportTime)
	for n := range attemptLimit(o.Job) {
		bound = bound.Add(timing.JobPause(int32(n)) + startTimeout(o.Job) + longestAttempt(o.Job))
	}
	for i := range o.Attempts {
		bound = bound.Add(o.waitForNodeOf(&o.Attempts[i]))
	}
	return bound
}

// waitForNodeOf returns how long a pod waited until it was scheduled. If the newest pod
// still waits, this time grows until its scheduleBound.
func (o *Observation) waitForNodeOf(pod *corev1.Pod) time.Duration {
	end := ScheduledAt(pod)
	if pod == o.Pod && waitsForNode(pod) {
		if end = o.scheduleBound(); o.Now.Before(end) {
			end = o.Now
		}
	}
	return max(0, end.Sub(pod.CreationTimestamp.Time))
}

// scheduleBound returns the time until which the newest pod, which waits for a node, has
// to be scheduled: startTimeoutSeconds after its creation, or after a pod with the same
// requirements was last scheduled.
func (o *Observation) scheduleBound() time.Time {
	return o.startBound(later(o.Pod.CreationTimestamp.Time, o.LastScheduled))
}

// startBound returns the time at which a pod must have started. since is when it could
// be created, scheduled or started first. The time in which the Job was suspended does not count.
func (o *Observation) startBound(since time.Time) time.Time {
	return later(since, startOf(o.Job)).Add(startTimeout(o.Job))
}

// startOf returns when the Job was created or last resumed.
func startOf(job *batchv1.Job) time.Time {
	if job.Status.StartTime == nil {
		return job.CreationTimestamp.Time
	}
	return later(job.CreationTimestamp.Time, job.Status.StartTime.Time)
}

// startTimeout returns the type's startTimeoutSeconds when the Job was created.
func startTimeout(job *batchv1.Job) time.Duration {
	seconds, err := strconv.Atoi(job.Annotations[v1alpha1.AnnotationStartTimeoutSeconds])
	if err != nil {
		return defaultStartTimeout
	}
	return time.Duration(seconds) * time.Second
}

// longestAttempt returns how long after the start of a pod the kubelet has killed it at
// the latest. A pod can run longer only on a node that is lost.
func longestAttempt(job *batchv1.Job) time.Duration {
	var seconds int64
	spec := &job.Spec.Template.Spec
	for _, s := range []*int64{spec.ActiveDeadlineSeconds, spec.TerminationGracePeriodSeconds} {
		if s != nil {
			seconds += *s
		}
	}
	return time.Duration(seconds) * time.Second
}

// attemptLimit returns how many attempts of a Job may fail.
func attemptLimit(job *batchv1.Job) int {
	if job.Spec.BackoffLimit == nil {
		return 1
	}
	return int(*job.Spec.BackoffLimit) + 1
}
