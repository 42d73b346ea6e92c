package controllers

import (
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/payload"
)

// CacheOptions are the operator's caches: one namespace, only the Jobs and pods
// of Processes and the Leases of idempotency keys, and of each object only what
// a controller looks at.
func CacheOptions(namespace string) cache.Options {
	ofProcesses, ofKeys := labelled(v1alpha1.LabelProcess), labelled(v1alpha1.LabelIdempotencyKey)
	return cache.Options{
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.Process{}:     {Transform: payload.Policy(payload.KeepSmallInputs).Transform()},
			&v1alpha1.ProcessType{}: {Transform: withoutManagedFields},
			&batchv1.Job{}:          {Label: ofProcesses, Transform: leanJob},
			&corev1.Pod{}:           {Label: ofProcesses, Transform: leanPod},
			&coordinationv1.Lease{}: {Label: ofKeys, Transform: withoutManagedFields},
		},
		ReaderFailOnMissingInformer: true,
	}
}

// labelled selects what has a label.
func labelled(label string) labels.Selector {
	has, err := labels.NewRequirement(label, selection.Exists, nil)
	if err != nil {
		panic(err) // a constant label and a constant operator
	}
	return labels.NewSelector().Add(*has)
}

// leanJob keeps what outcome looks at: metadata, bounds, status.
func leanJob(o any) (any, error) {
	if job, ok := o.(*batchv1.Job); ok {
		job.ManagedFields = nil
		pod := job.Spec.Template.Spec
		job.Spec = batchv1.JobSpec{BackoffLimit: job.Spec.BackoffLimit, Suspend: job.Spec.Suspend}
		job.Spec.Template.Spec.ActiveDeadlineSeconds = pod.ActiveDeadlineSeconds
		job.Spec.Template.Spec.TerminationGracePeriodSeconds = pod.TerminationGracePeriodSeconds
	}
	return o, nil
}

// leanPod keeps metadata, status, and where it runs.
func leanPod(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		pod.ManagedFields = nil
		pod.Spec = corev1.PodSpec{NodeName: pod.Spec.NodeName}
	}
	return o, nil
}

func withoutManagedFields(o any) (any, error) {
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	return o, nil
}
