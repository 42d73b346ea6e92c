// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"procman.dev/procman/internal/agentapi"
)

// TestNothingWaitsWithoutABound: for any Job and pods, there is a result, a pod to
// mark as failed, or a later time at which to decide again, except while the Job is
// suspended. Once the overall bound has passed, no decision waits.
func TestNothingWaitsWithoutABound(t *testing.T) {
	manySituations(t, func(t *rapid.T) {
		job, pods, events := anyJob(t), anyPods(t), anyEvents(t)
		now, lastScheduled := anyTime(t).Time, anyLastScheduled(t)
		observe := func(now time.Time) *Observation {
			o := Observe(job, pods, now)
			o.LastScheduled = lastScheduled
			return o
		}
		check := func(o *Observation, waits bool) {
			d := o.Decide()
			switch {
			case d.Rule == "":
				t.Fatal("no rule decides")
			case d.Result != nil && d.Fail != nil:
				t.Fatalf("rule %s ends the process and fails a pod", d.Rule)
			case d.Result == nil && d.Fail == nil && !waits:
				t.Fatalf("rule %s waits", d.Rule)
			case d.Result == nil && d.Fail == nil && !o.Suspended && !d.RecheckAt.After(o.Now):
				t.Fatalf("rule %s waits until %s, and it is %s", d.Rule, d.RecheckAt, o.Now)
			}
			for _, rule := range allRules {
				if rule.Name == d.Rule && rule.Code != "" && d.Result != nil && d.Result.ErrorCode != rule.Code {
					t.Fatalf("rule %s gives %s, want %s", d.Rule, d.Result.ErrorCode, rule.Code)
				}
			}
		}
		check(observe(now), true)
		observed := observe(now)
		observed.AddEvents(events)
		check(observed, true)
		// The bound includes the wait for a node, which grows only until its own bound.
		end := observe(at(1_000_000).Time).overallBound()
		if observed.overallBound().After(end) {
			t.Fatalf("the overall bound is %s, later than its last value, %s", observed.overallBound(), end)
		}
		overdue := observe(end.Add(time.Duration(seconds.Draw(t, "overdue")) * time.Second))
		check(overdue, overdue.Suspended)
		overdue.AddEvents(events)
		check(overdue, overdue.Suspended)
	})
}

// TestNoRuleReadsAMessage: other messages change nothing but the text of the result
// (docs/adr/0010-bounds-without-reading-messages.md).
func TestNoRuleReadsAMessage(t *testing.T) {
	manySituations(t, func(t *rapid.T) {
		job, pods, events := anyJob(t), anyPods(t), anyEvents(t)
		now, lastScheduled := anyTime(t).Time, anyLastScheduled(t)
		decide := func() (Decision, types.UID) {
			o := Observe(job, pods, now)
			o.LastScheduled = lastScheduled
			eventsOf := o.Decide().EventsOf
			o.AddEvents(events)
			d := o.Decide()
			if d.Result != nil {
				d.Result.ErrorDetails = ""
			}
			return d, eventsOf
		}
		before, eventsOf := decide()
		if before.Fail != nil {
			before.Fail.Pod = before.Fail.Pod.DeepCopy()
			reword(before.Fail.Pod)
		}
		for i := range job.Status.Conditions {
			job.Status.Conditions[i].Message = "other words"
		}
		for i := range pods {
			reword(&pods[i])
		}
		for i := range events {
			events[i].Message = "other words"
		}
		after, eventsOfAfter := decide()
		if diff := cmp.Diff(before, after); diff != "" || eventsOf != eventsOfAfter {
			t.Fatalf("with other messages it asks for the events of %q instead of %q, and decides otherwise:\n%s", eventsOfAfter, eventsOf, diff)
		}
	})
}

// TestFullIsNotAnError: as long as a pod with the same requirements was scheduled during
// startTimeoutSeconds, a pod that waits for a node ends no process, and no later rule marks
// it as failed. Afterwards, the process ends.
func TestFullIsNotAnError(t *testing.T) {
	manySituations(t, func(t *rapid.T) {
		job := newJob()
		job.Spec.BackoffLimit = one(t, "backoffLimit", new(int32(0)), new(int32(2)), nil)
		pods := pods{newPod(rapid.IntRange(0, 30).Draw(t, "created"), one(t, "condition", withoutNode, func(*corev1.Pod) {}))}
		since := later(pods[0].CreationTimestamp.Time, anyLastScheduled(t))
		for _, after := range []int{rapid.IntRange(0, 59).Draw(t, "in time"), rapid.IntRange(60, 10_000).Draw(t, "too late")} {
			o := Observe(job, pods, since.Add(time.Duration(after)*time.Second))
			o.LastScheduled = since
			d := o.Decide()
			if ended := d.Result != nil; ended != (after >= 60) || d.Fail != nil {
				t.Fatalf("%d s after such a pod was scheduled, rule %s decides %+v", after, d.Rule, d)
			}
			if d.Result == nil && !d.RecheckAt.Equal(since.Add(time.Minute)) {
				t.Fatalf("it waits until %s, want %s", d.RecheckAt, since.Add(time.Minute))
			}
		}
	})
}

// manySituations checks a property more often than rapid's 100 times: most rules
// apply to few random situations.
func manySituations(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			property(t)
		}
	})
}

// reword changes all messages in a pod's status, except receipts.
func reword(pod *corev1.Pod) {
	const other = "other words"
	pod.Status.Message = other
	for i := range pod.Status.Conditions {
		pod.Status.Conditions[i].Message = other
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			switch s := &statuses[i].State; {
			case s.Waiting != nil:
				s.Waiting.Message = other
			case s.Terminated != nil:
				if _, err := agentapi.DecodeReceipt(s.Terminated.Message); err != nil {
					s.Terminated.Message = other
				}
			}
		}
	}
}

// seconds are times since the Job's creation, most of them before its overall
// bound.
var seconds = rapid.OneOf(rapid.IntRange(0, 30), rapid.IntRange(0, 150), rapid.IntRange(0, 1000), rapid.IntRange(0, 10_000))

func anyTime(t *rapid.T) metav1.Time { return at(seconds.Draw(t, "second")) }

// anyLastScheduled is when a pod with the same requirements was last scheduled.
func anyLastScheduled(t *rapid.T) time.Time {
	if maybe(t, "others") {
		return anyTime(t).Time
	}
	return time.Time{}
}

func maybe(t *rapid.T, what string) bool { return rapid.IntRange(0, 4).Draw(t, what) == 0 }

func one[T any](t *rapid.T, what string, of ...T) T { return rapid.SampledFrom(of).Draw(t, what) }

// message is for people. Rules do not read it.
func message(t *rapid.T) string { return one(t, "message", "", "no disk", "not found") }

func anyJob(t *rapid.T) *batchv1.Job {
	job := newJob()
	job.Spec.BackoffLimit = one(t, "backoffLimit", new(int32(0)), new(int32(2)), nil)
	job.Status.Failed = rapid.Int32Range(0, 3).Draw(t, "failed")
	job.Status.Active = rapid.Int32Range(0, 1).Draw(t, "active")
	if maybe(t, "suspend") {
		job.Spec.Suspend = new(true)
	}
	if maybe(t, "deleted") {
		job.DeletionTimestamp = new(anyTime(t))
	}
	if maybe(t, "started") {
		job.Status.StartTime = new(anyTime(t))
	}
	if maybe(t, "no annotations") {
		job.Annotations = nil
	}
	if maybe(t, "no deadline") {
		job.Spec.Template.Spec.ActiveDeadlineSeconds = nil
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "conditions") {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type:               one(t, "type", batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet, batchv1.JobSuspended),
			Status:             one(t, "status", corev1.ConditionTrue, corev1.ConditionFalse),
			Reason:             one(t, "reason", "", batchv1.JobReasonBackoffLimitExceeded, batchv1.JobReasonDeadlineExceeded, batchv1.JobReasonPodFailurePolicy),
			Message:            message(t),
			LastTransitionTime: anyTime(t),
		})
	}
	return job
}

func anyPods(t *rapid.T) []corev1.Pod {
	var pods []corev1.Pod
	for i := range rapid.IntRange(0, 3).Draw(t, "pods") {
		pods = append(pods, anyPod(t, i))
	}
	return pods
}

func anyPod(t *rapid.T, index int) corev1.Pod {
	pod := newPod(seconds.Draw(t, "created"))
	pod.Name, pod.UID = fmt.Sprint("pod-", index), pod.UID+"x"
	if maybe(t, "stranger's") {
		pod.OwnerReferences = nil
	}
	if maybe(t, "deleted") {
		pod.DeletionTimestamp = new(anyTime(t))
	}
	pod.Status.Phase = one(t, "phase", corev1.PodPending, corev1.PodRunning, corev1.PodFailed, corev1.PodSucceeded, corev1.PodUnknown, "")
	pod.Status.Reason = one(t, "reason", "", "", "", reasonEvicted, ReasonNodeLost, reasonDeadlineExceeded, "Other")
	pod.Status.Message = message(t)
	if maybe(t, "started") {
		pod.Status.StartTime = new(anyTime(t))
	}
	for _, kind := range []corev1.PodConditionType{corev1.DisruptionTarget, corev1.PodScheduled, corev1.PodReadyToStartContainers} {
		if maybe(t, string(kind)) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: kind, Status: one(t, "status", corev1.ConditionTrue, corev1.ConditionFalse),
				Reason: "Reason", Message: message(t), LastTransitionTime: anyTime(t),
			})
		}
	}
	if maybe(t, "init container") {
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{anyContainer(t, "agent")}
	}
	if !maybe(t, "no worker") {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{anyContainer(t, "worker")}
	}
	return pod
}

func anyContainer(t *rapid.T, name string) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: name, Image: "image"}
	switch one(t, "state", "waiting", "running", "terminated", "none") {
	case "waiting":
		status.State.Waiting = &corev1.ContainerStateWaiting{
			Reason:  one(t, "reason", "", "PodInitializing", "InvalidImageName", "ImagePullBackOff", "CreateContainerConfigError"),
			Message: message(t),
		}
	case "running":
		status.State.Running = &corev1.ContainerStateRunning{}
	case "terminated":
		status.State.Terminated = &corev1.ContainerStateTerminated{
			ExitCode:   one(t, "exit code", int32(0), 1, agentapi.ExitFinal, agentapi.ExitInterrupted, 137),
			Reason:     one(t, "reason", "Completed", "Error", reasonOOMKilled, "StartError"),
			Message:    one(t, "receipt", message(t), string(anyReceipt(t).Encode())),
			FinishedAt: anyTime(t),
		}
	}
	return status
}

func anyReceipt(t *rapid.T) agentapi.Receipt {
	r := agentapi.Receipt{Result: agentapi.Result{Attempt: rapid.Int32Range(0, 2).Draw(t, "attempt")}}
	switch one(t, "result", "output", "large output", "error", "crash", "interrupted") {
	case "output":
		r.Output = `{}`
	case "large output":
		r.Truncated = true
	case "error":
		r.ErrorCode = "PageUpsideDown"
	case "crash":
		r.ErrorCode, r.Retry = "WorkerFailed", true
	case "interrupted":
		r.ErrorCode, r.Retry, r.Interrupted = "WorkerFailed", true, true
	}
	return r
}

func anyEvents(t *rapid.T) []corev1.Event {
	var events []corev1.Event
	for range rapid.IntRange(0, 3).Draw(t, "events") {
		events = append(events, newEvent(one(t, "type", "Normal", "Warning"), one(t, "reason", "SuccessfulCreate", "FailedCreate"), message(t), seconds.Draw(t, "second")))
	}
	return events
}
