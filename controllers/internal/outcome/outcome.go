// Package outcome decides what the cluster's side of a Process says about it:
// from the Job and its pods to a result, or to the instant at which to look
// again. It is pure. What the agent delivers over HTTP never comes through here;
// this is for everything that keeps an agent from delivering.
package outcome

import (
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// settleTime is how long an ended pod or Job waits for what may still be under
// way: the cache's view of a result already committed, or of the last pod.
const settleTime = 10 * time.Second

// Decision is what follows. At most one of its fields is set; when none is,
// the next change of the Job or a pod is what there is to wait for.
type Decision struct {
	// Result is the end of the Process.
	Result *agentapi.Result
	// RecheckAt is when time itself may change the decision.
	RecheckAt time.Time
}

// Decide looks at a Job and its pods, all of them, as they are at now.
func Decide(job *batchv1.Job, pods []corev1.Pod, now time.Time) Decision {
	attempts := Attempts(job, pods)
	if len(attempts) == 0 {
		return withoutPod(job, now)
	}
	last := &attempts[len(attempts)-1]
	d := judgePod(job, last, now)
	if d.Result != nil && d.Result.Attempt == 0 && started(last) {
		d.Result.Attempt = Number(job, attempts, last)
	}
	return d
}

// judgePod looks at the newest pod: the attempt that counts.
func judgePod(job *batchv1.Job, pod *corev1.Pod, now time.Time) Decision {
	if container := workerStatus(pod); container != nil && container.State.Terminated != nil {
		return judgeEnded(job, pod, container.State.Terminated, now)
	}
	switch pod.Status.Phase {
	case corev1.PodFailed, corev1.PodSucceeded:
		return judgeEnded(job, pod, nil, now)
	case corev1.PodPending:
		return judgePending(job, pod, now)
	default:
		return afterJob(job, now, Decision{})
	}
}

// judgeEnded looks at a worker that is no more: its receipt first, then why
// Kubernetes ended it.
func judgeEnded(job *batchv1.Job, pod *corev1.Pod, ended *corev1.ContainerStateTerminated, now time.Time) Decision {
	if ended != nil {
		if receipt, err := agentapi.DecodeReceipt(ended.Message); err == nil {
			return judgeReceipt(job, receipt, ended.FinishedAt.Time, now)
		}
		if ended.Reason == "OOMKilled" {
			return result(errorcode.OutOfMemory, "the worker reached its memory limit and was killed", nil)
		}
	}
	if pod.Status.Reason == "DeadlineExceeded" {
		return result(errorcode.DeadlineExceeded, "the pod outlived the time that start, run and delivery have together", nil)
	}
	details := map[string]any{}
	if ended != nil {
		details["exitCode"] = ended.ExitCode
	}
	code, message := errorcode.WorkerFailed, "the worker's pod ended without a result"
	if pod.Status.Reason == "Evicted" {
		code, message = errorcode.Evicted, "the node ended the worker's pod: "+pod.Status.Message
	}
	return afterJob(job, now, result(code, message, details))
}

// judgeReceipt commits from the second channel what the first did not bring.
func judgeReceipt(job *batchv1.Job, receipt agentapi.Receipt, ended, now time.Time) Decision {
	switch {
	case receipt.Retry:
		return afterJob(job, now, Decision{Result: &receipt.Result})
	case receipt.ErrorCode != "" || !receipt.Truncated:
		return Decision{Result: &receipt.Result}
	case now.Before(ended.Add(settleTime)):
		// Delivered, most likely, and the cache is about to show it.
		return Decision{RecheckAt: ended.Add(settleTime)}
	}
	d := result(errorcode.ResultLost, "the worker finished, and its output, too large for the receipt, was not delivered", nil)
	d.Result.Attempt, d.Result.StartTime = receipt.Attempt, receipt.StartTime
	return d
}

// afterJob gives a verdict on one attempt only once the Job makes no more of
// them. Without a verdict, a Job that ended has lost its result.
func afterJob(job *batchv1.Job, now time.Time, verdict Decision) Decision {
	ended, over := jobEnded(job)
	switch {
	case !over:
		return Decision{}
	case verdict.Result != nil:
		return verdict
	case now.Before(ended.Add(settleTime)):
		return Decision{RecheckAt: ended.Add(settleTime)}
	}
	return result(errorcode.ResultLost, "the worker's Job ended and nothing was delivered", nil)
}

// withoutPod looks at a Job that has no pod: not yet, or no longer.
func withoutPod(job *batchv1.Job, now time.Time) Decision {
	if _, over := jobEnded(job); over {
		return afterJob(job, now, Decision{})
	}
	if job.Status.Active > 0 || job.Status.Failed > 0 {
		return Decision{} // between attempts, or the cache of pods is behind
	}
	return startBound(job, job.CreationTimestamp.Time, now, func() Decision {
		return result(errorcode.StartTimeout, "the cluster made no pod for the worker: see the events of its Job (quota, admission)", nil)
	})
}

// startBound is a decision that holds from since + the type's start timeout on.
// The time that the Job was suspended does not count.
func startBound(job *batchv1.Job, since, now time.Time, late func() Decision) Decision {
	if Suspended(job) {
		return Decision{}
	}
	if resumed := job.Status.StartTime; resumed != nil && resumed.After(since) {
		since = resumed.Time
	}
	seconds, err := strconv.Atoi(job.Annotations[v1alpha1.AnnotationStartTimeoutSeconds])
	if err != nil {
		return Decision{} // not of our making; the lifetime still bounds it
	}
	bound := since.Add(time.Duration(seconds) * time.Second)
	if now.Before(bound) {
		return Decision{RecheckAt: bound}
	}
	return late()
}

// jobEnded says whether the Job makes no more pods, and since when.
func jobEnded(job *batchv1.Job) (time.Time, bool) {
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet:
			return c.LastTransitionTime.Time, true
		default: // a suspended Job goes on one day
		}
	}
	return time.Time{}, false
}
