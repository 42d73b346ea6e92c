package outcome

import (
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/errorcode"
)

const (
	// settleTime is how long an ended pod or Job waits for what may still be under
	// way: the cache's view of a result already committed, or of the last pod.
	settleTime = 10 * time.Second
	// silence is how long after a pod should have been over its node may still
	// say so.
	silence = 30 * time.Second
	// The Job controller's pause before another attempt, doubled for each.
	firstBackoff   = 10 * time.Second
	longestBackoff = 10 * time.Minute
)

// withinAll bounds a decision to wait by the time that all attempts have
// together. What the cluster interrupts is not counted as an attempt, and takes
// of this time.
func withinAll(job *batchv1.Job, attempts []corev1.Pod, now time.Time, waiting Decision) Decision {
	if Suspended(job) && job.DeletionTimestamp == nil {
		return Decision{} // whoever suspended it bounds it, and in the end the lifetime does
	}
	bound := startOf(job).Add(silence)
	for n := range limit(job) + 1 {
		bound = bound.Add(backoff(n) + startTimeout(job) + longestAttempt(job))
	}
	if now.Before(bound) {
		if waiting.RecheckAt.IsZero() || waiting.RecheckAt.After(bound) {
			waiting.RecheckAt = bound
		}
		return waiting
	}
	if len(attempts) == 0 {
		return noPod(job)
	}
	for i := range slices.Backward(attempts) {
		if c := disruption(&attempts[i]); c != nil {
			return result(errorcode.Evicted, "the cluster ended the worker's pods again and again: "+c.Message, nil)
		}
	}
	return result(errorcode.DeadlineExceeded, "the process took longer than all its attempts have together", nil)
}

// longestAttempt is the time that one pod has from its start until the kubelet
// has ended it; only a node that is lost lets one live longer.
func longestAttempt(job *batchv1.Job) time.Duration {
	spec := &job.Spec.Template.Spec
	var seconds int64
	for _, s := range []*int64{spec.ActiveDeadlineSeconds, spec.TerminationGracePeriodSeconds} {
		if s != nil {
			seconds += *s
		}
	}
	return time.Duration(seconds) * time.Second
}

// backoff is the longest pause that the Job controller makes after n attempts.
func backoff(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return min(firstBackoff<<min(n-1, 16), longestBackoff)
}

// limit is how many attempts may fail before the last.
func limit(job *batchv1.Job) int {
	if job.Spec.BackoffLimit == nil {
		return 0
	}
	return int(*job.Spec.BackoffLimit)
}

// startOf is since when the Job may make pods: its creation, or when it was
// last resumed.
func startOf(job *batchv1.Job) time.Time {
	if started := job.Status.StartTime; started != nil && started.After(job.CreationTimestamp.Time) {
		return started.Time
	}
	return job.CreationTimestamp.Time
}

// startBound is a decision that holds from since + the type's start timeout on.
// The time that the Job was suspended does not count.
func startBound(job *batchv1.Job, since, now time.Time, late func() Decision) Decision {
	if start := startOf(job); start.After(since) {
		since = start
	}
	bound := since.Add(startTimeout(job))
	if now.Before(bound) {
		return Decision{RecheckAt: bound}
	}
	return late()
}

// startTimeout is what the type allowed when the Job was made; the type's
// default, should somebody have removed it.
func startTimeout(job *batchv1.Job) time.Duration {
	seconds, err := strconv.Atoi(job.Annotations[v1alpha1.AnnotationStartTimeoutSeconds])
	if err != nil {
		seconds = 180
	}
	return time.Duration(seconds) * time.Second
}

// jobEnded is the condition by which the Job makes no more pods, if it has one.
func jobEnded(job *batchv1.Job) (batchv1.JobCondition, bool) {
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet:
			return c, true
		default: // a suspended Job goes on one day
		}
	}
	return batchv1.JobCondition{}, false
}
