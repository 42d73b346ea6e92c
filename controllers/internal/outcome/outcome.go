// Package outcome decides what the cluster's side of a Process says about it:
// from the Job and its pods to a result, or to the instant at which to look
// again. It is pure. What the agent delivers over HTTP never comes through here;
// this is for everything that keeps an agent from delivering. docs/process.md
// has its bounds as a table.
package outcome

import (
	"cmp"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
)

// Decision is what follows. Without Result and Abandon, RecheckAt is set, unless
// the Job is suspended: nothing else waits without a bound.
type Decision struct {
	// Result is the end of the Process.
	Result *agentapi.Result
	// Explain is the UID of the object whose events say why Result came to be,
	// where its status does not; see Explained.
	Explain types.UID
	// provisional: the Result does not hold if the events say that the Job had a
	// pod a moment ago. Of pods that the cluster ends a Job keeps no trace.
	provisional bool
	// Abandon is a pod that nobody hears of any more: once it is marked as
	// failed, the Job makes another in its place.
	Abandon *corev1.Pod
	// RecheckAt is when time itself may change the decision.
	RecheckAt time.Time
}

// Decide looks at a Job and its pods, all of them, as they are at now.
func Decide(job *batchv1.Job, pods []corev1.Pod, now time.Time) Decision {
	attempts := Attempts(job, pods)
	d := judge(job, attempts, now)
	if d.Result == nil && d.Abandon == nil {
		d = withinAll(job, attempts, now, d)
	}
	if n := len(attempts); d.Result != nil && d.Result.Attempt == 0 && n > 0 && started(&attempts[n-1]) {
		d.Result.Attempt = Number(job, attempts, &attempts[n-1])
	}
	return d
}

// judge looks at the newest pod, the attempt that counts: what it left, then how
// long it has been at it.
func judge(job *batchv1.Job, attempts []corev1.Pod, now time.Time) Decision {
	switch {
	case job.DeletionTimestamp != nil:
		return Decision{} // somebody else's doing; another is made once it is gone
	case len(attempts) == 0:
		return withoutPod(job, now)
	}
	pod := &attempts[len(attempts)-1]
	status := workerStatus(pod)
	switch {
	case status != nil && status.State.Terminated != nil:
		return judgeEnded(job, attempts, status.State.Terminated, now)
	case over(pod):
		return judgeEnded(job, attempts, nil, now)
	case Suspended(job):
		return Decision{}
	case silent(job, pod, now):
		return judgeSilent(job, attempts)
	case pod.DeletionTimestamp != nil:
		return Decision{RecheckAt: silentAt(job, pod)}
	case pod.Status.Phase == corev1.PodPending:
		return judgePending(job, pod, now)
	}
	return afterJob(job, now, Decision{RecheckAt: silentAt(job, pod)})
}

// judgeEnded looks at a worker that is no more: its receipt first, then why
// Kubernetes ended it.
func judgeEnded(job *batchv1.Job, attempts []corev1.Pod, ended *corev1.ContainerStateTerminated, now time.Time) Decision {
	pod := &attempts[len(attempts)-1]
	verdict := withoutReceipt(pod, ended)
	if ended != nil {
		receipt, err := agentapi.DecodeReceipt(ended.Message)
		switch {
		case err == nil && !receipt.Interrupted:
			return judgeReceipt(job, attempts, receipt, ended.FinishedAt.Time, now)
		case err == nil && verdict.Result.ErrorCode == errorcode.WorkerFailed:
			verdict.Result = &receipt.Result // it knows more
		}
		switch ended.Reason {
		case reasonOOMKilled:
			return outOfMemory("the worker")
		case "StartError", "ContainerCannotRun":
			return result(errorcode.WorkerFailed, "the worker's container cannot be started (a type with agent: Embedded needs an image that holds "+agentapi.AgentPath+"): "+ended.Message,
				map[string]any{"exitCode": ended.ExitCode})
		}
	}
	if init := failedInit(pod); ended == nil && init != nil && init.State.Terminated.Reason == reasonOOMKilled {
		return outOfMemory("the container " + init.Name + ", which prepares the worker's pod,")
	}
	if pod.Status.Reason == "DeadlineExceeded" {
		return result(errorcode.DeadlineExceeded, "the pod outlived the time that start, run and delivery have together", nil)
	}
	if pod.Status.Reason == reasonEvicted && evictions(attempts) > limit(job) {
		// The Job does not count them, and would go on for ever. That the worker ran
		// is not always in an evicted pod's status.
		verdict.Result.Attempt = Number(job, attempts, pod)
		return verdict
	}
	return retried(job, attempts, now, verdict)
}

// withoutReceipt names the end of a worker that left no word.
func withoutReceipt(pod *corev1.Pod, ended *corev1.ContainerStateTerminated) Decision {
	details := map[string]any{}
	if ended != nil && ended.ExitCode != agentapi.ExitInterrupted {
		details["exitCode"] = ended.ExitCode
	}
	switch pod.Status.Reason {
	case reasonEvicted:
		return result(errorcode.Evicted, "the node ended the worker's pod: "+pod.Status.Message, details)
	case ReasonNodeLost:
		return nodeLost(pod)
	}
	if c := disruption(pod); c != nil {
		details["reason"] = c.Reason
		return result(errorcode.Evicted, "the cluster ended the worker's pod: "+c.Message, details)
	}
	message := "the worker's pod ended without a result"
	if init := failedInit(pod); ended == nil && init != nil {
		how := init.State.Terminated
		details["exitCode"] = how.ExitCode
		message = "the container " + init.Name + ", which prepares the worker's pod, failed: " + cmp.Or(how.Message, how.Reason)
	}
	if pod.Status.Reason != "" || pod.Status.Message != "" {
		details["reason"] = pod.Status.Reason
		message += ": " + pod.Status.Message
	}
	d := result(errorcode.WorkerFailed, message, details)
	d.Result.Retry = true
	return d
}

// failedInit is the init container for which the worker was not started; nil when
// there is none.
func failedInit(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.InitContainerStatuses {
		status := &pod.Status.InitContainerStatuses[i]
		if status.State.Terminated != nil && status.State.Terminated.ExitCode != 0 {
			return status
		}
	}
	return nil
}

// reasonOOMKilled is that of a container that was ended for its memory.
const reasonOOMKilled = "OOMKilled"

func outOfMemory(who string) Decision {
	return result(errorcode.OutOfMemory, who+" reached its memory limit and was killed; raise spec.template.resources.limits.memory of its type or send a smaller input", nil)
}

// judgeReceipt commits from the second channel what the first did not bring.
func judgeReceipt(job *batchv1.Job, attempts []corev1.Pod, receipt agentapi.Receipt, ended, now time.Time) Decision {
	switch {
	case receipt.Retry:
		return retried(job, attempts, now, Decision{Result: &receipt.Result})
	case receipt.ErrorCode != "" || !receipt.Truncated:
		return Decision{Result: &receipt.Result}
	case now.Before(ended.Add(settleTime)):
		// Delivered, most likely, and the cache is about to show it.
		return Decision{RecheckAt: ended.Add(settleTime)}
	}
	d := result(errorcode.ResultLost, "the worker finished, but its output, too large for the second way, could not be delivered to the operator; send the work again", nil)
	d.Result.Attempt, d.Result.StartTime = receipt.Attempt, receipt.StartTime
	return d
}

// retried gives the verdict on an attempt that another one may make good: it
// holds once the Job makes no more of them, or does not get to make one.
func retried(job *batchv1.Job, attempts []corev1.Pod, now time.Time, verdict Decision) Decision {
	if _, isOver := jobEnded(job); isOver || Suspended(job) {
		return afterJob(job, now, verdict)
	}
	due := endTime(&attempts[len(attempts)-1]).Add(backoff(len(attempts)))
	return startBound(job, due, now, func() Decision { return noPod(job) })
}

// afterJob gives a verdict on one attempt only once the Job makes no more of
// them. Without a result in it, a Job that ended has lost its result. Until the
// Job ends, the verdict's RecheckAt stands.
func afterJob(job *batchv1.Job, now time.Time, verdict Decision) Decision {
	ended, isOver := jobEnded(job)
	switch {
	case !isOver:
		return Decision{RecheckAt: verdict.RecheckAt}
	case verdict.Result != nil:
		return verdict
	case now.Before(ended.LastTransitionTime.Add(settleTime)):
		return Decision{RecheckAt: ended.LastTransitionTime.Add(settleTime)}
	}
	switch ended.Reason {
	case batchv1.JobReasonDeadlineExceeded:
		return result(errorcode.DeadlineExceeded, "the worker's Job was given a deadline, and reached it: "+ended.Message, nil)
	case batchv1.JobReasonBackoffLimitExceeded:
		return result(errorcode.WorkerFailed, "the worker's pods failed and were deleted before they could be looked at: "+ended.Message, nil)
	}
	return result(errorcode.ResultLost, "the worker's Job ended and nothing was delivered; send the work again: "+ended.Message, nil)
}

// result is a verdict of the platform's, with a message that says what to do.
func result(code, message string, details map[string]any) Decision {
	if details == nil {
		details = map[string]any{}
	}
	details["message"] = message
	return Decision{Result: new(agentapi.Failure(code, details))}
}
