//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// What people do by hand to what a process is made of.

// running starts a process of a type of its own, with one attempt, and returns
// it with its pod once that runs.
func running(t *testing.T, processType string, seconds float64) (id string, pod *corev1.Pod) {
	t.Helper()
	registerEcho(t, processType, func(s *v1alpha1.ProcessTypeSpec) { s.Attempts = 1 })
	id = post(t, processType, fmt.Sprintf(`{"echo":{"seconds":%g,"output":{"done":true}}}`, seconds))
	return id, runningPod(t, id)
}

func runningPod(t *testing.T, id string) *corev1.Pod {
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

func TestPodIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*corev1.Pod) error{
		"deleted": func(pod *corev1.Pod) error { return kube.Delete(t.Context(), pod) },
		"evicted": func(pod *corev1.Pod) error {
			return kube.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, pod := running(t, "pod-"+name, 30)
			if err := interrupt(pod); err != nil {
				t.Fatal(err)
			}
			if a := complete(t, "pod-"+name, id); string(a.Output) != `{"done":true}` {
				t.Errorf("the output is %s", a.Output)
			}
			if pods := workerPods(t, id); len(pods) != 1 || pods[0].UID == pod.UID {
				t.Errorf("the process has %d pods, want the one that took the first one's place", len(pods))
			}
			if attempts := process(t, id).Status.Attempts; attempts == nil || *attempts != 1 {
				t.Errorf("attempts are %v, want 1: an interrupted one does not count", attempts)
			}
		})
	}
}

func TestJobIsDeleted(t *testing.T) {
	t.Parallel()
	id, pod := running(t, "job-deleted", 30)
	job := &batchv1.Job{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, job); err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	if a := complete(t, "job-deleted", id); string(a.Output) != `{"done":true}` {
		t.Errorf("the output is %s", a.Output)
	}
	again := &batchv1.Job{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, again); err != nil || again.UID == job.UID {
		t.Errorf("the Job was not made again: %v", err)
	}
	eventually(t, time.Minute, "the first Job's pod is gone", func() bool {
		return apierrors.IsNotFound(kube.Get(t.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{}))
	})
}

func TestJobIsSuspended(t *testing.T) {
	t.Parallel()
	id, _ := running(t, "job-suspended", 30)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: workNamespace, Name: id}}
	suspend := func(value bool) {
		t.Helper()
		patch := fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, value)
		if err := kube.Patch(t.Context(), job, client.RawPatch("application/merge-patch+json", patch)); err != nil {
			t.Fatal(err)
		}
	}
	suspend(true)
	eventually(t, time.Minute, "nothing runs", func() bool {
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
			t.Fatal(err)
		}
		return job.Status.Active == 0 && (job.Status.Terminating == nil || *job.Status.Terminating == 0)
	})
	if a := get(t, "job-suspended", id); a.State != "processing" {
		t.Fatalf("a suspended process is %s: %s %s", a.State, a.ErrorCode, a.ErrorDetails)
	}
	suspend(false)
	complete(t, "job-suspended", id)
}

func TestTypeIsChangedAndRemovedWhileItsProcessRuns(t *testing.T) {
	t.Parallel()
	const name = "type-removed"
	echo := &v1alpha1.ProcessType{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: "echo"}, echo); err != nil {
		t.Fatal(err)
	}
	registered := &v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Namespace: workNamespace, Name: name}, Spec: echo.Spec}
	give(t, registered)
	known(t, name)
	id := post(t, name, `{"echo":{"seconds":5,"failAttempts":1,"output":{"done":true}}}`)
	runningPod(t, id)
	change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"command":["/no-such-program"]}}`))
	if err := kube.Patch(t.Context(), registered, change); err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(t.Context(), registered); err != nil {
		t.Fatal(err)
	}
	// Its second attempt, too, is that of the type as it was.
	eventually(t, 2*time.Minute, "the process is complete", func() bool {
		return process(t, id).Status.State == v1alpha1.StateComplete
	})
}

// This disturbs what all others use, so it does not run beside them.

func TestResultsWhileThereIsNoOperator(t *testing.T) {
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
		eventually(t, 2*time.Minute, "the operator is as it is told to be", func() bool {
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
		runningPod(t, id)
	}
	change(func(s *appsv1.DeploymentSpec) { s.Replicas = new(int32(0)) })
	for _, id := range []string{small, large} {
		eventually(t, 2*time.Minute, "the worker has ended, and its agent has given up", func() bool {
			pods := workerPods(t, id)
			return len(pods) == 1 && pods[0].Status.Phase != corev1.PodRunning
		})
	}
	change(func(s *appsv1.DeploymentSpec) { s.Replicas = before.Spec.Replicas })
	if a := complete(t, "echo", small); string(a.Output) != `{"kept":1.0}` {
		t.Errorf("the output is %s", a.Output)
	}
	if a := failed(t, "echo", large, "ResultLost"); !strings.Contains(string(a.ErrorDetails), "send the work again") {
		t.Errorf("errorDetails are %s", a.ErrorDetails)
	}
	// Other tests find the operator as it was.
	change(func(s *appsv1.DeploymentSpec) { *s = *before.Spec.DeepCopy() })
}
