// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// awaitQueue waits until the Processes of a type that are not terminal are as in want:
// by name, "running" for one with a Job, or "queued".
func awaitQueue(t *testing.T, typeName string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	var processes v1alpha1.ProcessList
	eventually(t, fmt.Sprintf("the processes of type %s are %v", typeName, want), func(ctx context.Context) bool {
		if err := kube.List(ctx, &processes, client.InNamespace(namespace), client.MatchingFields{"spec.type": typeName, "status.state": "processing"}); err != nil {
			t.Fatal(err)
		}
		clear(got)
		for _, p := range processes.Items {
			if kube.Get(ctx, client.ObjectKeyFromObject(&p), &batchv1.Job{}) == nil {
				got[p.Name] = "running"
			} else if isQueued(&p) {
				got[p.Name] = "queued"
			}
		}
		return cmp.Equal(want, got)
	})
}

// getProcess reads a Process.
func getProcess(t *testing.T, name string) *v1alpha1.Process {
	t.Helper()
	p := &v1alpha1.Process{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// isQueued reports whether the status of a Process says that it waits for a slot.
func isQueued(p *v1alpha1.Process) bool {
	c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched)
	return c != nil && c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonQueued
}

// gauge returns the value of the operator's metric for a type.
func gauge(t *testing.T, name, typeName string) float64 {
	t.Helper()
	value, ok := series(t, name, typeName)
	if !ok {
		t.Fatalf("there is no metric %s of type %s", name, typeName)
	}
	return value
}

// series returns the value of the operator's metric for a type, if there is one.
func series(t *testing.T, name, typeName string) (value float64, ok bool) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if family.GetName() == name && labels["namespace"] == namespace && labels["type"] == typeName {
				return metric.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

func TestMaxConcurrent(t *testing.T) {
	t.Parallel()
	pt := newType("bounded")
	pt.Spec.MaxConcurrent = 2
	create(t, pt)
	var all []*v1alpha1.Process
	for i := range 6 {
		p := newProcess(fmt.Sprint("bounded-", i))
		p.Spec.Type = pt.Name
		all = append(all, create(t, p))
	}
	slices.SortFunc(all[2:], func(a, b *v1alpha1.Process) int { // in the order of the queue
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	n := func(i int) string { return all[i].Name }
	awaitQueue(t, pt.Name, map[string]string{n(0): "running", n(1): "running", n(2): "queued", n(3): "queued", n(4): "queued", n(5): "queued"})
	if queued, running := gauge(t, "procman_processes_queued", pt.Name), gauge(t, "procman_processes_running", pt.Name); queued != 4 || running != 2 {
		t.Errorf("the metrics count %g queued and %g running, want 4 and 2", queued, running)
	}

	waiting := map[string]string{}
	for i := 3; i < 6; i++ {
		waiting[n(i)] = getProcess(t, n(i)).ResourceVersion
	}
	output := corev1.ContainerStateTerminated{Message: string(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: `{}`}}.Encode())}
	endPod(t, addPod(t, awaitJob(t, all[0]), n(0)+"-1"), output)
	awaitTerminal(t, n(0))
	awaitQueue(t, pt.Name, map[string]string{n(1): "running", n(2): "running", n(3): "queued", n(4): "queued", n(5): "queued"})
	for name, version := range waiting {
		if p := getProcess(t, name); p.ResourceVersion != version {
			t.Errorf("the queue has moved, and %s was written: %+v", name, p.Status)
		}
	}
	// The agent of the one that was queued gets its input. The same write removes the condition.
	before := getProcess(t, n(2))
	if _, _, err := getInput(t, token(t, "procman-worker", agentapi.Audience, addPod(t, awaitJob(t, all[2]), n(2)+"-1"))); err != nil {
		t.Fatal(err)
	}
	if p := getProcess(t, n(2)); !isQueued(before) || p.Status.StartTime.IsZero() || len(p.Status.Conditions) > 0 {
		t.Errorf("the status was %+v and is %+v, want a start time and no conditions", before.Status, p.Status)
	}

	if err := kube.Delete(t.Context(), all[1]); err != nil {
		t.Fatal(err)
	}
	awaitQueue(t, pt.Name, map[string]string{n(2): "running", n(3): "running", n(4): "queued", n(5): "queued"})

	endPod(t, addPod(t, awaitJob(t, all[3]), n(3)+"-1"), output)
	awaitTerminal(t, n(3))
	old := pt.DeepCopy()
	pt.Spec.MaxConcurrent = 3
	if err := kube.Patch(t.Context(), pt, client.MergeFrom(old)); err != nil {
		t.Fatal(err)
	}
	awaitQueue(t, pt.Name, map[string]string{n(2): "running", n(4): "running", n(5): "running"})
}

// A process that has waited costs one write more than one that has not, however often the
// queue has moved meanwhile: the start of its attempt and its result are writes in any case.
func TestWritesOfAQueue(t *testing.T) {
	t.Parallel()
	const n = 20
	pt := newType("moving-queue")
	pt.Spec.MaxConcurrent = 1
	create(t, pt)
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: kube.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	watched, err := watcher.Watch(t.Context(), &v1alpha1.ProcessList{}, client.InNamespace(namespace), client.MatchingFields{"spec.type": pt.Name})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	for i := range n {
		p := newProcess(fmt.Sprintf("moving-queue-%02d", i))
		p.Spec.Type = pt.Name
		create(t, p)
	}
	eventually(t, "all except the first wait", func(ctx context.Context) bool {
		var all v1alpha1.ProcessList
		if err := kube.List(ctx, &all, client.InNamespace(namespace), client.MatchingFields{"spec.type": pt.Name}); err != nil {
			t.Fatal(err)
		}
		queued := 0
		for _, p := range all.Items {
			if isQueued(&p) {
				queued++
			}
		}
		return queued == n-1
	})
	for i := range n {
		name := fmt.Sprintf("moving-queue-%02d", i)
		bearer := token(t, "procman-worker", agentapi.Audience, addPod(t, awaitJob(t, getProcess(t, name)), name+"-1"))
		if _, _, err := getInput(t, bearer); err != nil {
			t.Fatal(err)
		}
		if response, got := callCollector(t, http.MethodPut, agentapi.ResultPath, bearer, agentapi.Result{Output: `{}`}); response.StatusCode != http.StatusOK {
			t.Fatalf("PUT result: %s: %s", response.Status, got)
		}
		if i < 2 { // time for writes that are delayed
			moved := time.Now()
			eventually(t, "six seconds have passed", func(context.Context) bool { return time.Since(moved) > 6*time.Second })
		}
	}
	writes, finished := map[string]int{}, 0
	for finished < n {
		select {
		case event := <-watched.ResultChan():
			p, ok := event.Object.(*v1alpha1.Process)
			if !ok {
				t.Fatalf("the watch ended: %+v", event)
			}
			if event.Type == watch.Modified {
				writes[p.Name]++
			}
			if p.Finished() {
				finished++
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of %d processes are finished", finished, n)
		}
	}
	for name, got := range writes {
		if want := map[bool]int{true: 2, false: 3}[name == "moving-queue-00"]; got != want {
			t.Errorf("%s was written %d times, want %d", name, got, want)
		}
	}
}

func TestDeletionOfATypeEmptiesItsQueue(t *testing.T) {
	t.Parallel()
	pt := newType("deleted-queue")
	pt.Spec.MaxConcurrent = 1
	create(t, pt)
	for i := range 3 {
		p := newProcess(fmt.Sprint("deleted-queue-", i))
		p.Spec.Type = pt.Name
		create(t, p)
	}
	awaitQueue(t, pt.Name, map[string]string{"deleted-queue-0": "running", "deleted-queue-1": "queued", "deleted-queue-2": "queued"})
	if err := kube.Delete(t.Context(), pt); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deleted-queue-1", "deleted-queue-2"} {
		if s := awaitTerminal(t, name).Status; s.ErrorCode != "InvalidInput" || len(s.Conditions) != 1 {
			t.Errorf("unexpected status %+v", s)
		}
	}
}

// setSuspended suspends or resumes a Job, as Kueue and the Job controller do.
func setSuspended(t *testing.T, job *batchv1.Job, suspended bool) {
	t.Helper()
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	job.Spec.Suspend = new(suspended)
	if err := kube.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	condition := batchv1.JobCondition{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !suspended {
		condition.Status = corev1.ConditionFalse
		job.Status.StartTime = new(metav1.Now())
	} else {
		job.Status.StartTime = nil
	}
	job.Status.Conditions = []batchv1.JobCondition{condition}
	if err := kube.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

func TestKueueSuspendsAndResumes(t *testing.T) {
	t.Parallel()
	kueued := newType("through-kueue")
	kueued.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "team", "kueue.x-k8s.io/priority-class": "low"}
	kueued.Spec.StartTimeoutSeconds = 3
	create(t, kueued)
	without := newType("without-kueue")
	without.Spec.StartTimeoutSeconds = 3
	create(t, without)

	p := newProcess("through-kueue")
	p.Spec.Type = kueued.Name
	create(t, p)
	job := awaitJob(t, p)
	if job.Spec.Suspend == nil || !*job.Spec.Suspend || job.Labels["kueue.x-k8s.io/queue-name"] != "team" || job.Labels["kueue.x-k8s.io/priority-class"] != "low" {
		t.Errorf("the Job is %+v", job)
	}
	if job.Spec.Template.Labels["kueue.x-k8s.io/queue-name"] != "" {
		t.Errorf("the pod has the label of Kueue, too: %v", job.Spec.Template.Labels)
	}
	setSuspended(t, job, true) // as the Job controller reports it
	// Wait until another process with the same start timeout has failed.
	awaitStartTimeout := func(name string) {
		t.Helper()
		other := newProcess(name)
		other.Spec.Type = without.Name
		create(t, other)
		if s := awaitTerminal(t, name).Status; s.ErrorCode != "StartTimeout" {
			t.Fatalf("unexpected status %+v", s)
		}
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil || p.Finished() {
			t.Fatalf("the process with the suspended Job ended with %+v, %v", p.Status, err)
		}
	}
	awaitStartTimeout("without-kueue-1")

	setSuspended(t, job, false)
	first := addPod(t, job, p.Name+"-1")
	setSuspended(t, job, true)
	crash := agentapi.Receipt{Result: agentapi.Result{Attempt: 1, ErrorCode: "WorkerFailed", Retry: true, Interrupted: true}}
	endPod(t, first, corev1.ContainerStateTerminated{ExitCode: 143, Message: string(crash.Encode())})
	if err := kube.Delete(t.Context(), first, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	awaitStartTimeout("without-kueue-2")

	setSuspended(t, job, false)
	endPod(t, addPod(t, job, p.Name+"-2"), corev1.ContainerStateTerminated{Message: string(agentapi.Receipt{Result: agentapi.Result{Attempt: 1, Output: `{"again":true}`}}.Encode())})
	if s := awaitTerminal(t, p.Name).Status; s.State != v1alpha1.StateComplete || s.Output != `{"again":true}` {
		t.Errorf("unexpected status %+v", s)
	}
}

func TestStartTimeoutAfterResume(t *testing.T) {
	t.Parallel()
	pt := newType("resumed")
	pt.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "team"}
	pt.Spec.StartTimeoutSeconds = 3
	create(t, pt)
	p := newProcess("resumed")
	p.Spec.Type = pt.Name
	create(t, p)
	job := awaitJob(t, p)
	setSuspended(t, job, false)
	if s := awaitTerminal(t, p.Name).Status; s.ErrorCode != "StartTimeout" || s.CompletionTime.Sub(job.Status.StartTime.Time) < 3*time.Second {
		t.Errorf("unexpected status %+v", s)
	}
}
