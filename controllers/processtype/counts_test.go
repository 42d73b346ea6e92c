package processtype

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"procman.dev/procman/api/v1alpha1"
)

func TestTally(t *testing.T) {
	process := func(name string, state v1alpha1.State) *v1alpha1.Process {
		return &v1alpha1.Process{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.ProcessSpec{Type: "ocr"}, Status: v1alpha1.ProcessStatus{State: state},
		}
	}
	job := func(name string) *batchv1.Job { return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	a, b, aDone := process("a", v1alpha1.StateProcessing), process("b", v1alpha1.StateProcessing), process("a", v1alpha1.StateError)
	var counting tally
	counting.init()
	for _, step := range []struct {
		what string
		do   func()
		want counts
	}{
		{"nothing", func() {}, counts{}},
		{"two arrive", func() { counting.OnAdd(a, true); counting.OnAdd(b, false) }, counts{queued: 2}},
		{"one of another type", func() {
			other := process("c", v1alpha1.StateProcessing)
			other.Spec.Type = "echo"
			counting.OnAdd(other, false)
		}, counts{queued: 2}},
		{"one is launched", func() { counting.OnAdd(job("a"), false) }, counts{queued: 1, running: 1}},
		{"it makes progress", func() { counting.OnUpdate(a, process("a", v1alpha1.StateProcessing)) }, counts{queued: 1, running: 1}},
		{"its Job moves on", func() { counting.OnUpdate(job("a"), job("a")) }, counts{queued: 1, running: 1}},
		{"it ends", func() { counting.OnUpdate(a, aDone) }, counts{queued: 1, finished: 1}},
		{"it is seen again", func() { counting.OnUpdate(aDone, aDone) }, counts{queued: 1, finished: 1}},
		{"a Job comes before its Process", func() { counting.OnAdd(job("d"), true) }, counts{queued: 1, finished: 1}},
		{"its Process comes", func() { counting.OnAdd(process("d", v1alpha1.StateProcessing), true) }, counts{queued: 1, running: 1, finished: 1}},
		{"a person deletes its Job", func() { counting.OnDelete(job("d")) }, counts{queued: 2, finished: 1}},
		{"it is deleted unfinished", func() { counting.OnDelete(process("d", v1alpha1.StateProcessing)) }, counts{queued: 1, finished: 1}},
		{"the finished one expires, unwatched", func() {
			counting.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "a", Obj: aDone})
		}, counts{queued: 1}},
		{"the last one goes", func() { counting.OnDelete(b); counting.OnDelete(job("a")) }, counts{}},
	} {
		step.do()
		if got := counting.of("ocr"); got != step.want {
			t.Errorf("%s: got %+v, want %+v", step.what, got, step.want)
		}
	}
	if len(counting.finished)+len(counting.jobs) > 0 || len(counting.underway) != 1 {
		t.Errorf("it keeps what is gone: %+v, %+v, %+v", counting.underway, counting.jobs, counting.finished)
	}
}
