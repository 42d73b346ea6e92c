// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestNumber(t *testing.T) {
	for name, test := range map[string]struct {
		job  *batchv1.Job
		pods []corev1.Pod
		of   int // which of the pods, oldest first
		want int32
	}{
		"the first":                         {newJob(), []corev1.Pod{newPod(1, withRunning)}, 0, 1},
		"the second":                        {newJob(withFailures(1)), []corev1.Pod{newPod(30, withRunning), newPod(1, withEviction)}, 1, 2},
		"the second, the first was deleted": {newJob(withFailures(1)), []corev1.Pod{newPod(30, withRunning)}, 0, 2},
		"the first, counted already":        {newJob(withFailures(1)), []corev1.Pod{newPod(1, withEviction)}, 0, 1},
		"an older pod":                      {newJob(withFailures(1)), []corev1.Pod{newPod(1, withEviction), newPod(30, withRunning)}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := Attempts(test.job, test.pods)
			if got := Number(test.job, attempts, &attempts[test.of]); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// The pod's own failure may be counted already: when its node was lost, or when it is
// being evicted. Interrupted attempts are not counted.
func TestLast(t *testing.T) {
	twoAttempts := func(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(1)) }
	for name, test := range map[string]struct {
		job  *batchv1.Job
		pod  corev1.Pod
		want bool
	}{
		"the first of three":                 {newJob(), newPod(2, withRunning), false},
		"the second of three":                {newJob(withFailures(1)), newPod(2, withRunning), false},
		"the third of three":                 {newJob(withFailures(2)), newPod(2, withRunning), true},
		"the only one":                       {newJob(withOneAttempt), newPod(2, withRunning), true},
		"the first of two, abandoned":        {newJob(twoAttempts), newPod(2, withAbandonment), false},
		"the first of two, and its failure":  {newJob(twoAttempts, withFailures(1)), newPod(2, withAbandonment), false},
		"the second of two, and its failure": {newJob(twoAttempts, withFailures(2)), newPod(2, withEviction), true},
	} {
		if got := Last(test.job, &test.pod); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}

// These pods end 10 seconds after their creation, see withTerminated.
func TestDueAt(t *testing.T) {
	withCrash := withTerminated(5, "Error", "")
	withInterruption := withTerminated(114, "Error", "")
	withLostNode := func(p *corev1.Pod) { withCrash(p); p.Status.Reason = ReasonNodeLost }
	withDrain := func(p *corev1.Pod) {
		withCrash(p)
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: at(40)}}
	}
	const none = -1
	for name, test := range map[string]struct {
		job  *batchv1.Job
		pods []corev1.Pod // the question is about the last one
		want int          // second
	}{
		"the first":                      {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withRunning)}, none},
		"no backoffSeconds":              {newJob(), []corev1.Pod{newPod(2, withCrash), newPod(22, withRunning)}, none},
		"not a number":                   {newJob(withBackoffSeconds("long")), []corev1.Pod{newPod(2, withCrash), newPod(22, withRunning)}, none},
		"after a crash":                  {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withCrash), newPod(22, withRunning)}, 12 + 20},
		"after two crashes":              {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withCrash), newPod(22, withCrash), newPod(52, withRunning)}, 32 + 40},
		"after two, one pod deleted":     {newJob(withBackoffSeconds("20"), withFailures(2)), []corev1.Pod{newPod(22, withCrash), newPod(52, withRunning)}, 32 + 40},
		"an hour at most":                {newJob(withBackoffSeconds("3000"), withFailures(7)), []corev1.Pod{newPod(2, withCrash), newPod(22, withRunning)}, 12 + 3600},
		"the crashed pod was deleted":    {newJob(withBackoffSeconds("20"), withFailures(1)), []corev1.Pod{newPod(22, withRunning)}, none},
		"after a lost node":              {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withLostNode), newPod(22, withRunning)}, none},
		"after an interruption":          {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withInterruption), newPod(22, withRunning)}, none},
		"after a drained node":           {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withDrain), newPod(52, withRunning)}, none},
		"interrupted in the pause":       {newJob(withBackoffSeconds("60")), []corev1.Pod{newPod(2, withCrash), newPod(22, withInterruption), newPod(42, withRunning)}, 12 + 60},
		"interrupted, and then a crash":  {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withInterruption), newPod(22, withCrash), newPod(42, withRunning)}, 32 + 20},
		"the pod before still runs":      {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withRunning), newPod(22, withRunning)}, none},
		"its node's clock is ahead":      {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withCrash), newPod(5, withRunning)}, 5 + 20},
		"a crashed pod is being deleted": {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withCrash, withPodDeletion(40)), newPod(22, withRunning)}, 12 + 20},
		"evicted after the pause":        {newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withCrash), newPod(22, withEviction), newPod(52, withRunning)}, 12 + 20},
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
	other := newPod(99, withRunning)
	if got := DueAt(newJob(withBackoffSeconds("20")), []corev1.Pod{newPod(2, withCrash)}, &other); !got.IsZero() {
		t.Errorf("another owner's pod is due at %v", got)
	}
}
