package outcome

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Whatever the Job and its pods look like, there is an end, or an instant at
// which to look again, unless the Job is suspended.
func TestNothingWaitsWithoutABound(t *testing.T) {
	jobs := map[string]*batchv1.Job{
		"plain": aJob(), "failed before": aJob(failures(1)), "resumed": aJob(resumed(50)), "being deleted": aJob(beingDeleted),
		"complete": aJob(ended(batchv1.JobComplete, 5)), "failed": aJob(ended(batchv1.JobFailed, 5)), "without annotation": aJob(func(j *batchv1.Job) { j.Annotations = nil }),
	}
	pods := map[string][]corev1.Pod{
		"none": nil, "pending": {aPod(2)}, "running": {aPod(2, runs)}, "deleted": {aPod(2, runs, deleted(40))}, "evicted": {aPod(2, evicted)},
		"failed": {aPod(2, fails)}, "unknown": {aPod(2, func(p *corev1.Pod) { p.Status.Phase = corev1.PodUnknown })}, "killed": {aPod(2, terminated(137, "Error", ""))},
	}
	for jobName, job := range jobs {
		for podsName, pods := range pods {
			for _, now := range []int{3, 30, 100, 10_000} {
				d := Decide(job, pods, at(now).Time)
				if d.Result == nil && d.Abandon == nil && !d.RecheckAt.After(at(now).Time) {
					t.Errorf("Job %s, pods %s, second %d: it waits until %v", jobName, podsName, now, d.RecheckAt)
				}
			}
			if d := Decide(job, pods, at(1_000_000).Time); d.Result == nil && d.Abandon == nil {
				t.Errorf("Job %s, pods %s: there is no end", jobName, podsName)
			}
		}
	}
}

// event is one about a Job, so many seconds after its creation.
func event(kind, reason, message string, seconds int) corev1.Event {
	return corev1.Event{Type: kind, Reason: reason, Message: message, LastTimestamp: at(seconds)}
}

func TestExplained(t *testing.T) {
	made := event("Normal", "SuccessfulCreate", "created pod", 5)
	for name, test := range map[string]struct {
		pods    []corev1.Pod
		events  []corev1.Event
		now     int
		message string // "" for no result
		recheck int
	}{
		"no events":                   {now: 60, message: "startTimeoutSeconds"},
		"the newest warning":          {events: []corev1.Event{event("Warning", "FailedCreate", "b", 9), event("Warning", "FailedCreate", "a", 8)}, now: 60, message: "startTimeoutSeconds: b"},
		"nothing that is a warning":   {events: []corev1.Event{event("Normal", "Suspended", "a", 8)}, now: 60, message: "startTimeoutSeconds"},
		"its pod has just gone":       {events: []corev1.Event{made}, now: 100, recheck: 110},
		"gone, and none for ever":     {events: []corev1.Event{made}, now: all, message: "startTimeoutSeconds"},
		"another is refused":          {events: []corev1.Event{event("Warning", "FailedCreate", "b", 90), made, event("Warning", "FailedCreate", "a", 80)}, now: 100, recheck: 140},
		"another is refused too long": {events: []corev1.Event{event("Warning", "FailedCreate", "b", 90), made, event("Warning", "FailedCreate", "a", 80)}, now: 140, message: "startTimeoutSeconds: b"},
		"a refusal of before":         {events: []corev1.Event{event("Warning", "FailedCreate", "b", 3), made}, now: 100, recheck: 110},
		"a volume":                    {pods: []corev1.Pod{aPod(2)}, events: []corev1.Event{event("Warning", "FailedMount", "no secret", 3)}, now: 62, message: "startTimeoutSeconds: no secret"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Explained(aJob(), Decide(aJob(), test.pods, at(test.now).Time), test.events, at(test.now).Time)
			if test.message == "" {
				if d.Result != nil || !d.RecheckAt.Equal(at(test.recheck).Time) {
					t.Errorf("the decision is %+v, want one to look again at second %d", d, test.recheck)
				}
			} else if d.Result == nil || !strings.HasSuffix(d.Result.ErrorDetails, test.message+`"}`) {
				t.Errorf("the decision is %+v, want a message that ends in %q", d, test.message)
			}
		})
	}
}
