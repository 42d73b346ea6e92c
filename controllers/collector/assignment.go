package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/outcome"
)

var (
	// errNotWanted: the pod has nothing, or nothing any more, to do with a process
	// that is still to be finished.
	errNotWanted = errors.New("not wanted")
	// errSuperseded: nor has it, but another pod of its Job has.
	errSuperseded = errors.New("superseded")
)

// assignment is what a pod is there for.
type assignment struct {
	process *v1alpha1.Process
	job     *batchv1.Job
	pod     types.UID
	// attempt is the pod's number, from 1.
	attempt int32
	// last says that the Job makes no other attempt after this one.
	last bool
	// due is when its worker may start; zero for at once.
	due time.Time
}

// assignments follows a pod to its process.
type assignments struct {
	// cached reads what the operator's caches hold, live past them.
	cached, live client.Reader
	namespace    string
}

// find follows pod → Job → Process by owner references and their UIDs; names
// and labels prove nothing. Returns errNotWanted when the chain is broken or the
// process is over, and errSuperseded when a newer pod of the Job has taken this
// one's place.
func (a *assignments) find(ctx context.Context, id identity) (*assignment, error) {
	pod := &corev1.Pod{}
	if err := a.get(ctx, id.podName, id.podUID, pod); err != nil {
		return nil, err
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "Job" {
		return nil, fmt.Errorf("%w: pod %s is no Job's", errNotWanted, pod.Name)
	}
	job := &batchv1.Job{}
	if err := a.get(ctx, owner.Name, owner.UID, job); err != nil {
		return nil, err
	}
	owner = metav1.GetControllerOf(job)
	if owner == nil || owner.Kind != "Process" || owner.APIVersion != v1alpha1.GroupVersion.String() {
		return nil, fmt.Errorf("%w: Job %s is no Process's", errNotWanted, job.Name)
	}
	process := &v1alpha1.Process{}
	if err := a.get(ctx, owner.Name, owner.UID, process); err != nil {
		return nil, err
	}
	if process.Finished() || process.DeletionTimestamp != nil {
		return nil, fmt.Errorf("%w: process %s is over", errNotWanted, process.Name)
	}

	var pods corev1.PodList
	err := a.cached.List(ctx, &pods, client.InNamespace(a.namespace), client.MatchingLabels{v1alpha1.LabelProcess: process.Name})
	if err != nil {
		return nil, fmt.Errorf("list the process's pods: %w", err)
	}
	attempts := outcome.Attempts(job, pods.Items)
	if n := len(attempts); n == 0 || attempts[n-1].UID != pod.UID {
		if n > 0 && pod.CreationTimestamp.Before(&attempts[n-1].CreationTimestamp) {
			return nil, fmt.Errorf("%w: pod %s took the place of %s", errSuperseded, attempts[n-1].Name, pod.Name)
		}
		attempts = append(attempts, *pod) // the cache has yet to see it
	}
	number := outcome.Number(job, attempts, pod)
	return &assignment{
		process: process,
		job:     job,
		pod:     pod.UID,
		attempt: number,
		due:     outcome.DueAt(job, attempts, pod),
		last:    outcome.Last(job),
	}, nil
}

// get reads an object by name and UID, past the cache when the cache does not
// have it. Another object of that name is errNotWanted, as is none.
func (a *assignments) get(ctx context.Context, name string, uid types.UID, into client.Object) error {
	key := client.ObjectKey{Namespace: a.namespace, Name: name}
	err := a.cached.Get(ctx, key, into)
	if apierrors.IsNotFound(err) || (err == nil && into.GetUID() != uid) {
		err = a.live.Get(ctx, key, into)
	}
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %T %s is gone", errNotWanted, into, name)
	case err != nil:
		return fmt.Errorf("read %T %s: %w", into, name, err)
	case into.GetUID() != uid:
		return fmt.Errorf("%w: %T %s is another one", errNotWanted, into, name)
	}
	return nil
}
