// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobpods"
	"procman.dev/procman/controllers/internal/jobspec"
	"procman.dev/procman/controllers/internal/outcome"
	"procman.dev/procman/internal/agentapi"
)

// attempt is the agentserver.Attempt of one pod.
type attempt struct {
	collector *Collector
	process   *v1alpha1.Process
	job       *batchv1.Job
	pod       types.UID
	// number counts the attempts of the process, from 1.
	number int32
	// last is true if the Job makes no attempt after this one.
	last bool
	// due is when the worker may start; zero means immediately.
	due time.Time
	// timeout is how long the worker may run.
	timeout time.Duration
}

// find follows the owner references pod → Job → Process, by UID, because names and
// labels can be forged. The error is agentapi.ErrOver if the pod does not belong to an
// existing Process, or if the Process is terminal or being deleted. It is
// agentapi.ErrSuperseded if the Job has a newer pod.
func (c *Collector) find(ctx context.Context, id identity) (*attempt, error) {
	pod := &corev1.Pod{}
	if err := c.get(ctx, id.podName, id.podUID, pod); err != nil {
		return nil, err
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "Job" {
		return nil, fmt.Errorf("%w: pod %s does not belong to a Job", agentapi.ErrOver, pod.Name)
	}
	job := &batchv1.Job{}
	if err := c.get(ctx, owner.Name, owner.UID, job); err != nil {
		return nil, err
	}
	owner = metav1.GetControllerOf(job)
	if owner == nil || owner.Kind != "Process" || owner.APIVersion != v1alpha1.GroupVersion.String() {
		return nil, fmt.Errorf("%w: Job %s does not belong to a Process", agentapi.ErrOver, job.Name)
	}
	process := &v1alpha1.Process{}
	if err := c.get(ctx, owner.Name, owner.UID, process); err != nil {
		return nil, err
	}
	if process.Finished() || process.DeletionTimestamp != nil {
		return nil, fmt.Errorf("%w: process %s", agentapi.ErrOver, process.Name)
	}
	timeout, err := jobspec.Timeout(job)
	if err != nil {
		return nil, err
	}

	pods, err := jobpods.List(ctx, c.Client, job)
	if err != nil {
		return nil, err
	}
	attempts := outcome.Attempts(job, pods)
	if n := len(attempts); n == 0 || attempts[n-1].UID != pod.UID {
		if n > 0 && pod.CreationTimestamp.Before(&attempts[n-1].CreationTimestamp) {
			return nil, fmt.Errorf("%w: pod %s is newer than %s", agentapi.ErrSuperseded, attempts[n-1].Name, pod.Name)
		}
		attempts = append(attempts, *pod) // the cache does not have it yet
	}
	return &attempt{
		collector: c,
		process:   process,
		job:       job,
		pod:       pod.UID,
		number:    outcome.Number(job, attempts, pod),
		due:       outcome.DueAt(job, attempts, pod),
		last:      outcome.Last(job, pod),
		timeout:   timeout,
	}, nil
}

// get reads an object by name and UID, live if the cache does not have it. The error
// is agentapi.ErrOver if no object has this name and UID.
func (c *Collector) get(ctx context.Context, name string, uid types.UID, into client.Object) error {
	key := client.ObjectKey{Namespace: c.Namespace, Name: name}
	err := c.Client.Get(ctx, key, into)
	if apierrors.IsNotFound(err) || (err == nil && into.GetUID() != uid) {
		err = c.Live.Get(ctx, key, into)
	}
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %T %s does not exist", agentapi.ErrOver, into, name)
	case err != nil:
		return fmt.Errorf("read %T %s: %w", into, name, err)
	case into.GetUID() != uid:
		return fmt.Errorf("%w: %T %s has UID %s, expected %s", agentapi.ErrOver, into, name, into.GetUID(), uid)
	}
	return nil
}
