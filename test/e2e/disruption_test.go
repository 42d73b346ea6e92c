// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// These tests delete, evict, suspend or change the objects of a running process, as
// a person with kubectl does.

// startWorker starts a process of a new type with one attempt. It returns when the
// pod runs.
func startWorker(t *testing.T, processType string, seconds float64) (id string, pod *corev1.Pod) {
	t.Helper()
	registerEcho(t, processType, func(s *v1alpha1.ProcessTypeSpec) { s.Attempts = 1 })
	id = post(t, processType, fmt.Sprintf(`{"echo":{"seconds":%g,"output":{"done":true}}}`, seconds))
	return id, awaitRunningPod(t, id)
}

// awaitRunningPod waits until a pod of the process runs and returns it.
func awaitRunningPod(t *testing.T, id string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, time.Minute, "the worker of "+id+" runs", func() bool {
		for _, p := range workerPods(t, id) {
			if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
				pod = &p
			}
		}
		return pod != nil
	})
	return pod
}

func TestInterruptedPodIsReplaced(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*corev1.Pod) error{
		"deleted": func(pod *corev1.Pod) error { return kube.Delete(t.Context(), pod) },
		"evicted": func(pod *corev1.Pod) error {
			return kube.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, pod := startWorker(t, "pod-"+name, 30)
			if err := interrupt(pod); err != nil {
				t.Fatal(err)
			}
			if a := awaitComplete(t, "pod-"+name, id); string(a.Output) != `{"done":true}` {
				t.Errorf("the output is %s", a.Output)
			}
			if pods := workerPods(t, id); len(pods) != 1 || pods[0].UID == pod.UID {
				t.Errorf("the process has %d pods, want 1, which replaced the interrupted one", len(pods))
			}
			if attempts := getProcess(t, id).Status.Attempts; attempts == nil || *attempts != 1 {
				t.Errorf("attempts are %v, want 1: an interrupted attempt does not count", attempts)
			}
		})
	}
}

func TestDeletedJobIsCreatedAgain(t *testing.T) {
	t.Parallel()
	id, pod := startWorker(t, "job-deleted", 30)
	job := getJob(t, id)
	if err := kube.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	if a := awaitComplete(t, "job-deleted", id); string(a.Output) != `{"done":true}` {
		t.Errorf("the output is %s", a.Output)
	}
	if again := getJob(t, id); again.UID == job.UID {
		t.Error("the Job was not created again")
	}
	eventually(t, time.Minute, "the first Job's pod is deleted", func() bool {
		return apierrors.IsNotFound(kube.Get(t.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{}))
	})
}

func TestSuspendedJobResumes(t *testing.T) {
	t.Parallel()
	id, _ := startWorker(t, "job-suspended", 30)
	setSuspended(t, id, true)
	eventually(t, time.Minute, "no pod of the suspended Job runs", func() bool {
		job := getJob(t, id)
		return job.Status.Active == 0 && (job.Status.Terminating == nil || *job.Status.Terminating == 0)
	})
	if a := get(t, "job-suspended", id); a.State != "processing" {
		t.Fatalf("a suspended process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
	}
	setSuspended(t, id, false)
	awaitComplete(t, "job-suspended", id)
}

func TestProcessOutlivesChangeAndDeletionOfItsType(t *testing.T) {
	t.Parallel()
	const name = "type-removed"
	registered := &v1alpha1.ProcessType{ObjectMeta: named(name), Spec: getType(t, "echo").Spec}
	createForTest(t, registered)
	awaitKnown(t, name)
	id := post(t, name, `{"echo":{"seconds":5,"failAttempts":1,"output":{"done":true}}}`)
	awaitRunningPod(t, id)
	change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"command":["/no-such-program"]}}`))
	if err := kube.Patch(t.Context(), registered, change); err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(t.Context(), registered); err != nil {
		t.Fatal(err)
	}
	// The second attempt also uses the type as it was at launch.
	eventually(t, 2*time.Minute, "the process is complete", func() bool {
		return getProcess(t, id).Status.State == v1alpha1.StateComplete
	})
}

// TestResultsWithoutAnOperator scales the operator to zero while workers end. It is
// not parallel, because all other tests need the operator.
func TestResultsWithoutAnOperator(t *testing.T) {
	operator := &appsv1.Deployment{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "procman-operator"}, operator); err != nil {
		t.Fatal(err)
	}
	before := operator.DeepCopy()
	write := func(ctx context.Context, f func(*appsv1.DeploymentSpec)) error {
		return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(operator), operator); err != nil {
				return err
			}
			f(&operator.Spec)
			return kube.Update(ctx, operator)
		})
	}
	change := func(f func(*appsv1.DeploymentSpec)) {
		t.Helper()
		if err := write(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		eventually(t, 2*time.Minute, "all replicas of the operator have the new spec", func() bool {
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(operator), operator); err != nil {
				t.Fatal(err)
			}
			s, want := operator.Status, *operator.Spec.Replicas
			return s.ObservedGeneration == operator.Generation && s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want &&
				len(podsOf(t, "procman-operator")) == int(want)
		})
	}
	t.Cleanup(func() {
		if err := write(context.Background(), func(s *appsv1.DeploymentSpec) { *s = before.Spec }); err != nil {
			t.Error(err)
		}
	})
	change(func(s *appsv1.DeploymentSpec) {
		container := &s.Template.Spec.Containers[0]
		container.Args = append(container.Args, "--delivery-seconds=5")
	})
	small := post(t, "echo", `{"echo":{"seconds":20,"output":{"kept":1.0}}}`)
	large := post(t, "echo", `{"echo":{"seconds":20,"outputBytes":20000}}`)
	for _, id := range []string{small, large} {
		awaitRunningPod(t, id)
	}
	change(func(s *appsv1.DeploymentSpec) { s.Replicas = new(int32(0)) })
	for _, id := range []string{small, large} {
		eventually(t, 2*time.Minute, "the worker has ended and its agent has given up delivery", func() bool {
			pods := workerPods(t, id)
			return len(pods) == 1 && pods[0].Status.Phase != corev1.PodRunning
		})
	}
	change(func(s *appsv1.DeploymentSpec) { s.Replicas = before.Spec.Replicas })
	if a := awaitComplete(t, "echo", small); string(a.Output) != `{"kept":1.0}` {
		t.Errorf("the output is %s, want the one in the receipt", a.Output)
	}
	if a := awaitError(t, "echo", large, "ResultLost"); !strings.Contains(string(a.ErrorDetails), "send the work again") {
		t.Errorf("errorDetails are %s, want advice to send the work again", a.ErrorDetails)
	}
	// The next test needs the operator with its original spec.
	change(func(s *appsv1.DeploymentSpec) { *s = *before.Spec.DeepCopy() })
}
