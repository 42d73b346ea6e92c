// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"

	"procman.dev/procman/internal/errorcode"
)

// jobEnding applies while the cache may not contain the delivered result, or the end of
// the last pod, yet.
func jobEnding(o *Observation) *Decision {
	return o.waitUntil(o.JobEnd.LastTransitionTime.Add(settleTime))
}

// jobDeadline applies when somebody gave the Job a deadline; the operator does not.
func jobDeadline(o *Observation) *Decision {
	if o.JobEnd.Reason != batchv1.JobReasonDeadlineExceeded {
		return nil
	}
	return fail(errorcode.DeadlineExceeded, "somebody gave the worker's Job a deadline, and it passed: "+o.JobEnd.Message, nil)
}

// podsDeleted applies when the Job counted more failures than its type has attempts.
func podsDeleted(o *Observation) *Decision {
	if o.JobEnd.Reason != batchv1.JobReasonBackoffLimitExceeded {
		return nil
	}
	return fail(errorcode.WorkerFailed, "the worker's pods failed, and were deleted before the operator could see how: "+o.JobEnd.Message, nil)
}

// resultMissing applies to all other ends of a Job.
func resultMissing(o *Observation) *Decision {
	return fail(errorcode.ResultLost, "the worker's Job ended, and no result was delivered; send the work again: "+o.JobEnd.Message, nil)
}

// noPod waits for the first pod. If the cluster ended and deleted a pod, the Job's status
// does not show that, but its events do.
func noPod(o *Observation) *Decision {
	if d := o.waitUntil(o.startBound(startOf(o.Job))); d != nil {
		return d
	}
	if o.events != nil && !o.events.podCreated.IsZero() {
		bound := o.Now.Add(settleTime)
		if !o.events.firstWarning.IsZero() {
			bound = o.events.firstWarning.Add(startTimeout(o.Job))
		}
		if d := o.waitUntil(bound); d != nil {
			return d
		}
	}
	return podNotCreated(o)
}

// podNotCreated ends a process whose Job has no pod.
func podNotCreated(o *Observation) *Decision {
	return o.failStartTimeout("the cluster created no pod for the worker within startTimeoutSeconds of its type", o.Job.UID)
}

// overdueDisrupted applies when the cluster ended one of the pods.
func overdueDisrupted(o *Observation) *Decision {
	for i := range slices.Backward(o.Attempts) {
		if c := disruption(&o.Attempts[i]); c != nil {
			return fail(errorcode.Evicted, "the cluster ended the worker's pods until the process had no time left: "+c.Message, nil)
		}
	}
	return nil
}

func overdue(*Observation) *Decision {
	return fail(errorcode.DeadlineExceeded, "the process took longer than all its attempts may take together", nil)
}
