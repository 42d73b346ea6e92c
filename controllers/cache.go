// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"procman.dev/procman/controllers/internal/outcome"
	"procman.dev/procman/internal/payload"
)

// CacheOptions returns the options of the operator's caches. The caches contain the
// objects of one namespace: all Processes and ProcessTypes, the Jobs and pods of
// Processes, and the Leases of idempotency keys. Fields that no controller reads are
// removed.
func CacheOptions(namespace string) cache.Options {
	processJobs, typePods, keyLeases := hasLabel(v1alpha1.LabelProcess), hasLabel(v1alpha1.LabelType), hasLabel(v1alpha1.LabelIdempotencyKey)
	return cache.Options{
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.Process{}:     {Transform: payload.Policy(payload.KeepSmallInputs).Transform()},
			&v1alpha1.ProcessType{}: {Transform: cache.TransformStripManagedFields()},
			&batchv1.Job{}:          {Label: processJobs, Transform: trimJob},
			&corev1.Pod{}:           {Label: typePods, Transform: trimPod},
			&coordinationv1.Lease{}: {Label: keyLeases, Transform: cache.TransformStripManagedFields()},
		},
		ReaderFailOnMissingInformer: true,
	}
}

// hasLabel selects the objects that have a label.
func hasLabel(label string) labels.Selector {
	exists, err := labels.NewRequirement(label, selection.Exists, nil)
	if err != nil {
		panic(err) // impossible: both arguments are constants
	}
	return labels.NewSelector().Add(*exists)
}

// trimJob keeps what package outcome reads: metadata, time limits and status.
func trimJob(o any) (any, error) {
	if job, ok := o.(*batchv1.Job); ok {
		job.ManagedFields = nil
		pod := job.Spec.Template.Spec
		job.Spec = batchv1.JobSpec{BackoffLimit: job.Spec.BackoffLimit, Suspend: job.Spec.Suspend}
		job.Spec.Template.Spec.ActiveDeadlineSeconds = pod.ActiveDeadlineSeconds
		job.Spec.Template.Spec.TerminationGracePeriodSeconds = pod.TerminationGracePeriodSeconds
	}
	return o, nil
}

// trimPod keeps metadata, status and the node, and what decides which nodes can take the
// pod, as a hash in an annotation that only the cache has. It can get the same pod twice.
func trimPod(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		pod.ManagedFields = nil
		if len(pod.Spec.Containers) > 0 {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, outcome.AnnotationRequirements, outcome.Requirements(&pod.Spec))
		}
		pod.Spec = corev1.PodSpec{NodeName: pod.Spec.NodeName}
	}
	return o, nil
}
