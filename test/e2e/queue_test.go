// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// countRunning counts the Processes of a type that have a Job and are not terminal.
func countRunning(t *testing.T, typeName string) int {
	t.Helper()
	var jobs batchv1.JobList
	if err := kube.List(t.Context(), &jobs, client.InNamespace(workNamespace), client.MatchingLabels{v1alpha1.LabelType: typeName}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, job := range jobs.Items { // read after the Jobs: a process that freed its slot is terminal by now
		if p := getProcess(t, job.Name); !p.Finished() {
			n++
		}
	}
	return n
}

// setMaxConcurrent changes maxConcurrent of a type.
func setMaxConcurrent(t *testing.T, typeName string, n int32) {
	t.Helper()
	pt := getType(t, typeName)
	before := pt.DeepCopy()
	pt.Spec.MaxConcurrent = n
	if err := kube.Patch(t.Context(), pt, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestMaxConcurrentIsRaised(t *testing.T) {
	registerEcho(t, "few-at-a-time", func(s *v1alpha1.ProcessTypeSpec) { s.MaxConcurrent = 1 })
	var ids []string
	for range 4 {
		ids = append(ids, post(t, "few-at-a-time", `{"echo":{"seconds":60}}`))
	}
	eventually(t, 30*time.Second, "one process runs and three have queue positions 1, 2, 3", func() bool {
		var positions []int
		for _, id := range ids {
			positions = append(positions, get(t, "few-at-a-time", id).QueuePosition)
		}
		slices.Sort(positions)
		return slices.Equal(positions, []int{0, 1, 2, 3})
	})
	eventually(t, 30*time.Second, "kubectl shows that three processes wait", func() bool {
		waiting := 0
		for _, id := range ids {
			if c := meta.FindStatusCondition(getProcess(t, id).Status.Conditions, v1alpha1.ConditionLaunched); c != nil && c.Reason == v1alpha1.ReasonQueued {
				waiting++
			}
		}
		return waiting == 3
	})
	if n := countRunning(t, "few-at-a-time"); n != 1 {
		t.Errorf("%d processes run, want 1", n)
	}
	setMaxConcurrent(t, "few-at-a-time", 3)
	eventually(t, 30*time.Second, "three processes run and the fourth has queue position 1", func() bool {
		first := 0
		for _, id := range ids {
			if get(t, "few-at-a-time", id).QueuePosition == 1 {
				first++
			}
		}
		return first == 1 && countRunning(t, "few-at-a-time") == 3
	})
	for _, id := range ids {
		if err := kube.Delete(t.Context(), getProcess(t, id)); err != nil {
			t.Error(err)
		}
	}
}

// TestQueueOrderSurvivesTheOperator kills the operator, so it is not parallel.
func TestQueueOrderSurvivesTheOperator(t *testing.T) {
	registerEcho(t, "one-at-a-time", func(s *v1alpha1.ProcessTypeSpec) { s.MaxConcurrent = 1 })
	const n = 5
	var ids []string
	for range n {
		ids = append(ids, post(t, "one-at-a-time", `{"echo":{"seconds":2}}`))
	}
	var replaced func()
	eventually(t, 3*time.Minute, "all processes are terminal", func() bool {
		if running := countRunning(t, "one-at-a-time"); running > 1 {
			t.Fatalf("%d processes run at the same time, want at most 1", running)
		}
		terminal := 0
		for _, id := range ids {
			if getProcess(t, id).Finished() {
				terminal++
			}
		}
		if terminal >= 2 && replaced == nil {
			replaced = killPods(t, "procman-operator")
		}
		return terminal == n
	})
	replaced()

	var all []*v1alpha1.Process
	for _, id := range ids {
		if a := awaitComplete(t, "one-at-a-time", id); a.QueuePosition != 0 {
			t.Errorf("a terminal process has queue position %d, want none", a.QueuePosition)
		}
		all = append(all, getProcess(t, id))
	}
	slices.SortFunc(all[1:], func(a, b *v1alpha1.Process) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i, p := range all {
		if i > 0 && p.Status.StartTime.Before(&all[i-1].Status.CompletionTime) {
			t.Errorf("process %d started at %s, before the older one completed at %s", i+1, p.Status.StartTime, all[i-1].Status.CompletionTime)
		}
	}
}

// setSuspended suspends or resumes the Job of a process. Kueue does this to preempt or
// admit a Job.
func setSuspended(t *testing.T, id string, suspended bool) {
	t.Helper()
	job := getJob(t, id)
	before := job.DeepCopy()
	job.Spec.Suspend = new(suspended)
	if err := kube.Patch(t.Context(), job, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// TestKueueSuspendsAndResumes suspends and resumes Jobs as Kueue does. Kueue itself is not
// installed in this cluster.
func TestKueueSuspendsAndResumes(t *testing.T) {
	kueued := &v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Namespace: workNamespace, Name: "through-kueue", Labels: map[string]string{v1alpha1.LabelKueueQueue: "team"}},
		Spec:       getType(t, "echo").Spec,
	}
	kueued.Spec.StartTimeoutSeconds = 20
	kueued.Spec.Attempts = 1
	createForTest(t, kueued)
	awaitKnown(t, kueued.Name)
	id := post(t, kueued.Name, `{"echo":{"seconds":5}}`)
	posted := time.Now()

	eventually(t, time.Minute, "the start timeout has passed", func() bool {
		if a := get(t, kueued.Name, id); a.State != "processing" {
			t.Fatalf("the process ended while its Job was suspended: %s", a.body)
		}
		return time.Since(posted) > 22*time.Second
	})
	if pods := workerPods(t, id); len(pods) > 0 {
		t.Fatalf("a suspended Job has %d pods, want none", len(pods))
	}
	setSuspended(t, id, false)
	var first types.UID
	eventually(t, time.Minute, "the worker runs", func() bool {
		pods := workerPods(t, id)
		if len(pods) != 1 || pods[0].Status.Phase != corev1.PodRunning {
			return false
		}
		first = pods[0].UID
		return true
	})
	setSuspended(t, id, true)
	eventually(t, time.Minute, "its pod is deleted", func() bool { return len(workerPods(t, id)) == 0 })
	preempted := time.Now()
	eventually(t, time.Minute, "the start timeout has passed again", func() bool {
		if a := get(t, kueued.Name, id); a.State != "processing" {
			t.Fatalf("the process ended after preemption: %s", a.body)
		}
		return time.Since(preempted) > 22*time.Second
	})
	setSuspended(t, id, false)
	awaitComplete(t, kueued.Name, id)
	if pods := workerPods(t, id); len(pods) != 1 || pods[0].UID == first {
		t.Errorf("it completed with %d pods, want 1 new one; the UID of the preempted one is %s", len(pods), first)
	}
}
