package outcome

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/api/v1alpha1"
)

// The pods of these are over 10 seconds after their creation, see terminated.
func TestDueAt(t *testing.T) {
	pausing := func(seconds string) jobOption {
		return func(j *batchv1.Job) { j.Annotations[v1alpha1.AnnotationBackoffSeconds] = seconds }
	}
	crashes := terminated(5, "Error", "")
	interrupts := terminated(114, "Error", "")
	isLost := func(p *corev1.Pod) { crashes(p); p.Status.Reason = ReasonNodeLost }
	isDrained := func(p *corev1.Pod) {
		crashes(p)
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: at(40)}}
	}
	const none = -1
	for name, test := range map[string]struct {
		job  *batchv1.Job
		pods []corev1.Pod // the last one asks
		want int          // second
	}{
		"the first":                     {aJob(pausing("20")), []corev1.Pod{aPod(2, runs)}, none},
		"a type without":                {aJob(), []corev1.Pod{aPod(2, crashes), aPod(22, runs)}, none},
		"an annotation that is none":    {aJob(pausing("long")), []corev1.Pod{aPod(2, crashes), aPod(22, runs)}, none},
		"after a crash":                 {aJob(pausing("20")), []corev1.Pod{aPod(2, crashes), aPod(22, runs)}, 12 + 20},
		"after two":                     {aJob(pausing("20")), []corev1.Pod{aPod(2, crashes), aPod(22, crashes), aPod(52, runs)}, 32 + 40},
		"after two, one of them gone":   {aJob(pausing("20"), failures(2)), []corev1.Pod{aPod(22, crashes), aPod(52, runs)}, 32 + 40},
		"an hour at most":               {aJob(pausing("3000"), failures(7)), []corev1.Pod{aPod(2, crashes), aPod(22, runs)}, 12 + 3600},
		"the crash's pod is gone":       {aJob(pausing("20"), failures(1)), []corev1.Pod{aPod(22, runs)}, none},
		"after a node that was lost":    {aJob(pausing("20")), []corev1.Pod{aPod(2, isLost), aPod(22, runs)}, none},
		"after an interruption":         {aJob(pausing("20")), []corev1.Pod{aPod(2, interrupts), aPod(22, runs)}, none},
		"after a drained node":          {aJob(pausing("20")), []corev1.Pod{aPod(2, isDrained), aPod(52, runs)}, none},
		"interrupted in the pause":      {aJob(pausing("60")), []corev1.Pod{aPod(2, crashes), aPod(22, interrupts), aPod(42, runs)}, 12 + 60},
		"interrupted, and then a crash": {aJob(pausing("20")), []corev1.Pod{aPod(2, interrupts), aPod(22, crashes), aPod(42, runs)}, 32 + 20},
		"the one before still runs":     {aJob(pausing("20")), []corev1.Pod{aPod(2, runs), aPod(22, runs)}, none},
		"its node's clock is ahead":     {aJob(pausing("20")), []corev1.Pod{aPod(2, crashes), aPod(5, runs)}, 5 + 20},
		"the crash of a pod on its way": {aJob(pausing("20")), []corev1.Pod{aPod(2, crashes, deleted(40)), aPod(22, runs)}, 12 + 20},
		"evicted after the pause":       {aJob(pausing("20")), []corev1.Pod{aPod(2, crashes), aPod(22, evicted), aPod(52, runs)}, 12 + 20},
	} {
		t.Run(name, func(t *testing.T) {
			got := DueAt(test.job, test.pods, &test.pods[len(test.pods)-1])
			want := at(test.want).Time
			if test.want == none {
				want = time.Time{}
			}
			if !got.Equal(want) {
				t.Errorf("due at %v, want %v", got, want)
			}
		})
	}
	stranger := aPod(99, runs)
	if got := DueAt(aJob(pausing("20")), []corev1.Pod{aPod(2, crashes)}, &stranger); !got.IsZero() {
		t.Errorf("a pod that is none of the Job's is due at %v", got)
	}
}
