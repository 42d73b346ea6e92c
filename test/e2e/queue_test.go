//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// underWay counts the Processes of a type that have a Job and are not finished.
func underWay(t *testing.T, typeName string) int {
	t.Helper()
	var jobs batchv1.JobList
	if err := kube.List(t.Context(), &jobs, client.InNamespace(workNamespace), client.MatchingLabels{v1alpha1.LabelType: typeName}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, job := range jobs.Items { // read after the Jobs: who has made room for another is finished by now
		if p := process(t, job.Name); !p.Finished() {
			n++
		}
	}
	return n
}

// setMaxConcurrent changes a type that is there.
func setMaxConcurrent(t *testing.T, typeName string, n int32) {
	t.Helper()
	pt := &v1alpha1.ProcessType{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: typeName}, pt); err != nil {
		t.Fatal(err)
	}
	before := pt.DeepCopy()
	pt.Spec.MaxConcurrent = n
	if err := kube.Patch(t.Context(), pt, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestMaxConcurrentRises(t *testing.T) {
	registerEcho(t, "few-at-a-time", func(s *v1alpha1.ProcessTypeSpec) { s.MaxConcurrent = 1 })
	var ids []string
	for range 4 {
		ids = append(ids, post(t, "few-at-a-time", `{"echo":{"seconds":60}}`))
	}
	eventually(t, 30*time.Second, "one runs and three are shown their place in line", func() bool {
		var places []int32
		for _, id := range ids {
			places = append(places, process(t, id).Status.QueuePosition)
		}
		slices.Sort(places)
		return slices.Equal(places, []int32{0, 1, 2, 3})
	})
	if n := underWay(t, "few-at-a-time"); n != 1 {
		t.Errorf("%d are under way, want 1", n)
	}
	setMaxConcurrent(t, "few-at-a-time", 3)
	eventually(t, 30*time.Second, "three run and the last is first in line", func() bool {
		last := 0
		for _, id := range ids {
			if process(t, id).Status.QueuePosition == 1 {
				last++
			}
		}
		return last == 1 && underWay(t, "few-at-a-time") == 3
	})
	for _, id := range ids {
		if err := kube.Delete(t.Context(), process(t, id)); err != nil {
			t.Error(err)
		}
	}
}

// The operator is killed on the way, so this does not run beside others.
func TestMaxConcurrentOneOldestFirstAcrossAKilledOperator(t *testing.T) {
	registerEcho(t, "one-at-a-time", func(s *v1alpha1.ProcessTypeSpec) { s.MaxConcurrent = 1 })
	const n = 5
	var ids []string
	for range n {
		ids = append(ids, post(t, "one-at-a-time", `{"echo":{"seconds":2}}`))
	}
	var replaced func()
	eventually(t, 3*time.Minute, "all are finished", func() bool {
		if running := underWay(t, "one-at-a-time"); running > 1 {
			t.Fatalf("%d are under way at once", running)
		}
		finished := 0
		for _, id := range ids {
			if process(t, id).Finished() {
				finished++
			}
		}
		if finished >= 2 && replaced == nil {
			replaced = killAll(t, "procman-operator")
		}
		return finished == n
	})
	replaced()

	var all []*v1alpha1.Process
	for _, id := range ids {
		complete(t, "one-at-a-time", id)
		all = append(all, process(t, id))
	}
	slices.SortFunc(all[1:], func(a, b *v1alpha1.Process) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i, p := range all {
		if p.Status.QueuePosition != 0 {
			t.Errorf("a finished process is at place %d in line", p.Status.QueuePosition)
		}
		if i > 0 && p.Status.StartTime.Before(&all[i-1].Status.CompletionTime) {
			t.Errorf("number %d starts at %s, before the older one completes at %s", i+1, p.Status.StartTime, all[i-1].Status.CompletionTime)
		}
	}
}

// setSuspended is what Kueue does to let a Job run or, to make room for another,
// wait again.
func setSuspended(t *testing.T, id string, suspended bool) {
	t.Helper()
	job := &batchv1.Job{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: id}, job); err != nil {
		t.Fatal(err)
	}
	before := job.DeepCopy()
	job.Spec.Suspend = new(suspended)
	if err := kube.Patch(t.Context(), job, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// The test plays Kueue: the cluster has none.
func TestSuspendedJobWaitsAndAPreemptedOneRunsAgain(t *testing.T) {
	echo := &v1alpha1.ProcessType{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: "echo"}, echo); err != nil {
		t.Fatal(err)
	}
	through := &v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Namespace: workNamespace, Name: "through-kueue", Labels: map[string]string{v1alpha1.LabelKueueQueue: "team"}},
		Spec:       echo.Spec,
	}
	through.Spec.StartTimeoutSeconds = 20
	through.Spec.Attempts = 1
	if err := kube.Create(t.Context(), through); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kube.Delete(context.Background(), through); err != nil {
			t.Error(err)
		}
	})
	known(t, through.Name)
	id := post(t, through.Name, `{"echo":{"seconds":5}}`)
	posted := time.Now()

	eventually(t, time.Minute, "its start timeout would be over", func() bool {
		if a := get(t, through.Name, id); a.State != "processing" {
			t.Fatalf("while its Job is suspended: %s", a.body)
		}
		return time.Since(posted) > 22*time.Second
	})
	if pods := workerPods(t, id); len(pods) > 0 {
		t.Fatalf("a suspended Job has %d pods", len(pods))
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
	eventually(t, time.Minute, "its pod is gone", func() bool { return len(workerPods(t, id)) == 0 })
	preempted := time.Now()
	eventually(t, time.Minute, "its start timeout would be over again", func() bool {
		if a := get(t, through.Name, id); a.State != "processing" {
			t.Fatalf("after preemption: %s", a.body)
		}
		return time.Since(preempted) > 22*time.Second
	})
	setSuspended(t, id, false)
	complete(t, through.Name, id)
	if pods := workerPods(t, id); len(pods) != 1 || pods[0].UID == first {
		t.Errorf("it completed in %d pods, the preempted one's UID is %s", len(pods), first)
	}
}
