package outcome

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Suspended says whether the Job waits until somebody, such as Kueue, lets it
// run (again). It does until the Job controller has taken note that it may: only
// then does the Job's status.startTime say since when.
func Suspended(job *batchv1.Job) bool {
	if job.Spec.Suspend != nil && *job.Spec.Suspend {
		return true
	}
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobSuspended && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
