// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	batchv1 "k8s.io/api/batch/v1"

	"procman.dev/procman/api/v1alpha1"
)

// addKueue copies the type's labels for Kueue to the Job, but not to its pods. A Job with
// a queue is created suspended, and Kueue resumes it. Kueue's webhook would suspend it
// too, but may be unavailable.
func addKueue(job *batchv1.Job, t *v1alpha1.ProcessType) {
	for _, label := range []string{v1alpha1.LabelKueueQueue, v1alpha1.LabelKueuePriority} {
		if value := t.Labels[label]; value != "" {
			job.Labels[label] = value
		}
	}
	if job.Labels[v1alpha1.LabelKueueQueue] != "" {
		job.Spec.Suspend = new(true)
	}
}
