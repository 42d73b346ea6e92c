package jobspec

import (
	"maps"

	batchv1 "k8s.io/api/batch/v1"

	"procman.dev/procman/api/v1alpha1"
)

// throughKueue hands the type's labels for Kueue on to the Job, though not to its
// pod, and has a Job with a queue wait until Kueue lets it run. Kueue's webhook
// would suspend it as well; this holds when the webhook is not there in time.
func throughKueue(job *batchv1.Job, t *v1alpha1.ProcessType) {
	job.Labels = maps.Clone(job.Labels)
	for _, label := range []string{v1alpha1.LabelKueueQueue, v1alpha1.LabelKueuePriority} {
		if value := t.Labels[label]; value != "" {
			job.Labels[label] = value
		}
	}
	if job.Labels[v1alpha1.LabelKueueQueue] != "" {
		job.Spec.Suspend = new(true)
	}
}
