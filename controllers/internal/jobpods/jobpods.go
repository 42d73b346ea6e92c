// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jobpods finds the pods of a Job, and the Process that a pod works for. Pods
// have no label or name of a Process. They are connected by owner references, from the
// pod to its Job and from the Job to its Process.
package jobpods

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// ControllerUID is the name of the index that List uses.
const ControllerUID = "metadata.controllerUID"

// IndexControllerUID returns the value of a pod in that index: the UID of its controller.
func IndexControllerUID(pod client.Object) []string {
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}

// AddIndex adds the index to a cache that has not been started.
func AddIndex(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &corev1.Pod{}, ControllerUID, IndexControllerUID); err != nil {
		return fmt.Errorf("index pods by their controller: %w", err)
	}
	return nil
}

// List returns the pods that the Job controls, from a cache with the index.
func List(ctx context.Context, cache client.Reader, job *batchv1.Job) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := cache.List(ctx, &pods, client.InNamespace(job.Namespace), client.MatchingFields{ControllerUID: string(job.UID)})
	if err != nil {
		return nil, fmt.Errorf("list the pods of job %s: %w", job.Name, err)
	}
	return pods.Items, nil
}

// Process returns the Process that a pod works for. ok is false if the pod has no Job or
// the cache does not have the Job. In the second case the Job was deleted, or an event of
// the Job follows.
func Process(ctx context.Context, cache client.Reader, pod client.Object) (process types.NamespacedName, ok bool) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind != "Job" {
		return process, false
	}
	job := &batchv1.Job{}
	err := cache.Get(ctx, client.ObjectKey{Namespace: pod.GetNamespace(), Name: owner.Name}, job)
	if err != nil || job.UID != owner.UID {
		return process, false
	}
	owner = metav1.GetControllerOfNoCopy(job)
	if owner == nil || owner.Kind != "Process" || owner.APIVersion != v1alpha1.GroupVersion.String() {
		return process, false
	}
	return types.NamespacedName{Namespace: job.Namespace, Name: owner.Name}, true
}
