// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobpods"
	"procman.dev/procman/controllers/internal/ledger"
	"procman.dev/procman/controllers/internal/outcome"
	"procman.dev/procman/controllers/internal/terminal"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/rules"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// world returns a Reconciler for a fake cluster with some objects.
func world(t *testing.T, functions interceptor.Funcs, objects ...client.Object) (*Reconciler, *clocktesting.FakePassiveClock) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Process{}, &corev1.Pod{}).
		WithInterceptorFuncs(functions).
		WithIndex(&corev1.Pod{}, jobpods.ControllerUID, jobpods.IndexControllerUID).
		WithIndex(&corev1.Event{}, "involvedObject.uid", func(o client.Object) []string { return []string{string(o.(*corev1.Event).InvolvedObject.UID)} }).
		Build()
	now := clocktesting.NewFakePassiveClock(start)
	known, processes := &rules.Cache{}, ledger.New(now, 0)
	processes.Register(client.ObjectKey{Namespace: "work", Name: "t"}, 0)
	processes.Observe(aProcess(), false)
	processes.Open()
	return &Reconciler{
		Client: c, Live: c, Clock: now, Writer: &terminal.Writer{Client: c, Live: c, Clock: now, Rules: known}, Rules: known, Ledger: processes, Scheduled: NewScheduled(now),
		Injection:  func() v1alpha1.AgentInjection { return v1alpha1.AgentEmbedded },
		Violations: func(*metav1.ObjectMeta, *corev1.PodSpec) string { return "" },
	}, now
}

func aProcess() *v1alpha1.Process {
	return &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "p", UID: "process", CreationTimestamp: metav1.NewTime(start)},
		Spec:       v1alpha1.ProcessSpec{Type: "t", Input: "{}"},
	}
}

func aType() *v1alpha1.ProcessType {
	return &v1alpha1.ProcessType{
		ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "t"},
		Spec:       v1alpha1.ProcessTypeSpec{Image: "i", Command: []string{"/w"}, Attempts: 1, StartTimeoutSeconds: 60, TimeoutSeconds: 60},
		Status:     v1alpha1.ProcessTypeStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue}}},
	}
}

// reconcileIt reads the Process, reconciles it, and returns it as it then is.
func reconcileIt(t *testing.T, r *Reconciler) (*v1alpha1.Process, time.Duration, error) {
	t.Helper()
	p := &v1alpha1.Process{}
	key := client.ObjectKey{Namespace: "work", Name: "p"}
	if err := r.Client.Get(t.Context(), key, p); err != nil {
		t.Fatal(err)
	}
	again, err := r.Reconcile(t.Context(), p)
	if err := r.Client.Get(t.Context(), key, p); err != nil {
		t.Fatal(err)
	}
	return p, again.RequeueAfter, err
}

func refusing(err error) interceptor.Funcs {
	return interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		if _, ok := o.(*batchv1.Job); ok {
			return err
		}
		return c.Create(ctx, o, options...)
	}}
}

func TestRefusedJob(t *testing.T) {
	jobs := schema.GroupResource{Group: "batch", Resource: "jobs"}
	for name, test := range map[string]struct {
		err error
		// what happens to the Process at first, and after startTimeoutSeconds
		now, later string
	}{
		"forbidden":    {apierrors.NewForbidden(jobs, "p", errors.New("exceeded quota")), "waits", "LaunchRefused"},
		"webhook away": {apierrors.NewInternalError(errors.New("failed calling webhook")), "waits", "LaunchRefused"},
		"invalid":      {apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "p", nil), "LaunchRefused", "LaunchRefused"},
		"no answer":    {errors.New("connection refused"), "error", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			r, now := world(t, refusing(test.err), aProcess(), aType())
			now.SetTime(start.Add(time.Hour / 4)) // it waited in the queue
			outcomeOf := func() string {
				p, again, err := reconcileIt(t, r)
				refused := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched)
				switch {
				case err != nil:
					return "error"
				case p.Finished():
					if !strings.Contains(p.Status.ErrorDetails, "refused the worker's Job") || refused != nil {
						t.Errorf("the status is %+v", p.Status)
					}
					return p.Status.ErrorCode
				case again > 0 && refused != nil && refused.Status == metav1.ConditionFalse && strings.Contains(refused.Message, test.err.Error()):
					return "waits"
				}
				return "is lost"
			}
			if got := outcomeOf(); got != test.now {
				t.Errorf("at first it %s, want %s", got, test.now)
			}
			now.SetTime(now.Now().Add(59 * time.Second))
			if got := outcomeOf(); got != test.now {
				t.Errorf("a second before the end it %s, want %s", got, test.now)
			}
			now.SetTime(now.Now().Add(time.Second))
			if got := outcomeOf(); got != test.later {
				t.Errorf("at the end it %s, want %s", got, test.later)
			}
		})
	}
}

// The condition has the message of the last refusal and the time of the first one. It
// is written only if the message is new.
func TestRefusalWithAnotherMessage(t *testing.T) {
	said, patches := "exceeded quota", 0
	functions := interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "p", errors.New(said))
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			patches++
			return c.SubResource(sub).Patch(ctx, o, patch, options...)
		},
	}
	r, now := world(t, functions, aProcess(), aType())
	long := strings.Repeat("ö", 600) // it is cut, maybe within a letter
	for i, step := range []struct {
		said    string
		patches int
	}{{"exceeded quota", 1}, {"exceeded quota", 1}, {"a policy", 2}, {long, 3}, {long, 3}, {"x" + long, 4}, {"x" + long, 4}} {
		said = step.said
		now.SetTime(start.Add(time.Duration(i) * refusedRetry))
		p, again, err := reconcileIt(t, r)
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched)
		if err != nil || again != refusedRetry || patches != step.patches || c == nil ||
			!strings.Contains(c.Message, step.said[:min(len(step.said), 800)]) || !c.LastTransitionTime.Time.Equal(start) {
			t.Errorf("%d: %+v after %d patches, want %d; again in %s, error %v", i, c, patches, step.patches, again, err)
		}
	}
}

func TestRefusalIsRemovedOnceThereIsAJob(t *testing.T) {
	refuses, patches := true, 0
	quota := apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "p", errors.New("exceeded quota"))
	made := metav1.NewTime(start.Add(50 * time.Second))
	r, now := world(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if refuses {
				return quota
			}
			o.SetCreationTimestamp(made)
			return c.Create(ctx, o, options...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			patches++
			return c.SubResource(sub).Patch(ctx, o, patch, options...)
		},
	}, aProcess(), aType())
	expect := func(refused bool, so int) {
		t.Helper()
		p, _, err := reconcileIt(t, r)
		is := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionLaunched) != nil
		if err != nil || p.Finished() || is != refused || patches != so {
			t.Errorf("the status is %+v after %d patches, error %v; want refused %t after %d", p.Status, patches, err, refused, so)
		}
	}
	expect(true, 1)
	refuses = false
	now.SetTime(made.Time)
	expect(true, 1) // the Job is created
	expect(false, 2)
	expect(false, 2)
	// Somebody deletes the Job: startTimeoutSeconds counts from the next refusal.
	if err := r.Client.DeleteAllOf(t.Context(), &batchv1.Job{}, client.InNamespace("work")); err != nil {
		t.Fatal(err)
	}
	refuses = true
	now.SetTime(start.Add(70 * time.Second))
	expect(true, 3)
	now.SetTime(start.Add(129 * time.Second))
	expect(true, 3)
}

// launchedJob is the Job of aProcess.
func launchedJob() *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "work", Name: "p", UID: "job", CreationTimestamp: metav1.NewTime(start),
			Annotations:     map[string]string{v1alpha1.AnnotationStartTimeoutSeconds: "60"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Process", UID: "process", Controller: new(true)}},
		},
		Spec: batchv1.JobSpec{BackoffLimit: new(int32(1))},
	}
}

func TestEventsExplainWhyThereIsNoPod(t *testing.T) {
	event := func(name, reason, kind, message string, seconds int) *corev1.Event {
		return &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: "work", Name: name},
			InvolvedObject: corev1.ObjectReference{UID: "job"}, Type: kind, Message: message,
			LastTimestamp: metav1.NewTime(start.Add(time.Duration(seconds) * time.Second)), Reason: reason,
		}
	}
	r, now := world(t, interceptor.Funcs{}, aProcess(), launchedJob(),
		event("a", "FailedCreate", "Warning", "no service account", 1), event("b", "FailedCreate", "Warning", "exceeded quota: q", 5),
		event("c", "FailedCreate", "Warning", "webhook away", 3), event("d", "Completed", "Normal", "completed", 9))
	now.SetTime(start.Add(time.Minute))
	p, _, err := reconcileIt(t, r)
	if err != nil || p.Status.ErrorCode != "StartTimeout" || !strings.Contains(p.Status.ErrorDetails, "exceeded quota: q") {
		t.Errorf("the status is %+v, error %v", p.Status, err)
	}
}

func TestPodOfALostNodeIsAbandoned(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "work", Name: "p-1", UID: "pod", CreationTimestamp: metav1.NewTime(start), DeletionTimestamp: new(metav1.NewTime(start.Add(10 * time.Second))),
			Finalizers:      []string{batchv1.JobTrackingFinalizer},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Job", UID: "job", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{NodeName: "away"},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)}},
		},
	}
	r, now := world(t, interceptor.Funcs{}, aProcess(), launchedJob(), pod)
	for _, step := range []struct {
		seconds int
		phase   corev1.PodPhase
	}{{39, corev1.PodRunning}, {40, corev1.PodFailed}} {
		now.SetTime(start.Add(time.Duration(step.seconds) * time.Second))
		p, _, err := reconcileIt(t, r)
		if err != nil || p.Finished() {
			t.Errorf("after %d s the process is %+v, error %v", step.seconds, p.Status, err)
		}
		if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil || pod.Status.Phase != step.phase {
			t.Errorf("after %d s the pod is %s, error %v, want %s", step.seconds, pod.Status.Phase, err, step.phase)
		}
	}
	if pod.Status.Reason != outcome.ReasonNodeLost || len(pod.Status.Conditions) != 2 {
		t.Errorf("the pod's status is %+v", pod.Status)
	}
	// The pause and the start timeout of the next attempt begin now.
	if p, again, err := reconcileIt(t, r); err != nil || p.Finished() || again != 70*time.Second {
		t.Errorf("the process is %+v, looked at again in %s, error %v", p.Status, again, err)
	}
}

// meshPod is the pod of launchedJob, in which a container of a service mesh still runs
// after the worker has ended.
func meshPod(message string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "work", Name: "p-1", UID: "pod", CreationTimestamp: metav1.NewTime(start),
			OwnerReferences: []metav1.OwnerReference{{Kind: "Job", UID: "job", Controller: new(true)}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "mesh", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{Name: "worker", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 7, Message: message, FinishedAt: metav1.NewTime(start)}}},
		}},
	}
}

// After a crash, the pod is marked as failed, so that the Job makes another attempt.
func TestPodWithASidecarAfterACrash(t *testing.T) {
	crash := agentapi.Failure("WorkerFailed", map[string]any{"exitCode": 7})
	crash.Retry = true
	pod := meshPod(string(agentapi.Receipt{Result: crash}.Encode()))
	r, now := world(t, interceptor.Funcs{}, aProcess(), launchedJob(), pod)
	for _, step := range []struct {
		seconds int
		phase   corev1.PodPhase
		again   time.Duration
	}{{9, corev1.PodRunning, time.Second}, {10, corev1.PodFailed, 0}} {
		now.SetTime(start.Add(time.Duration(step.seconds) * time.Second))
		p, again, err := reconcileIt(t, r)
		if err != nil || p.Finished() || again != step.again {
			t.Errorf("after %d s the process is %+v, looked at again in %s, error %v", step.seconds, p.Status, again, err)
		}
		if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil || pod.Status.Phase != step.phase {
			t.Errorf("after %d s the pod is %s, error %v, want %s", step.seconds, pod.Status.Phase, err, step.phase)
		}
	}
	if pod.Status.Reason != outcome.ReasonWorkerEnded || len(pod.Status.ContainerStatuses) != 2 {
		t.Errorf("the pod's status is %+v", pod.Status)
	}
}

// After the result, a Job that would run for ever is deleted soon. One that has ended is
// kept for a while, with its log.
func TestJobAfterTheResult(t *testing.T) {
	const complete, failed = v1alpha1.StateComplete, v1alpha1.StateError
	ended := meshPod("")
	ended.Status.Phase = corev1.PodSucceeded
	endedJob, suspended, foreign := launchedJob(), launchedJob(), launchedJob()
	endedJob.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	suspended.Spec.Suspend = new(true)
	foreign.OwnerReferences = nil
	for name, test := range map[string]struct {
		job     *batchv1.Job
		pods    []client.Object
		state   v1alpha1.State
		after   time.Duration
		deleted bool
		again   time.Duration
	}{
		"complete, it runs, a moment ago":       {launchedJob(), []client.Object{meshPod("")}, complete, 29 * time.Second, false, time.Second},
		"complete, it runs":                     {launchedJob(), []client.Object{meshPod("")}, complete, 30 * time.Second, true, 0},
		"complete, suspended":                   {suspended, nil, complete, 30 * time.Second, true, 0},
		"complete, the pod ended, in time":      {launchedJob(), []client.Object{ended}, complete, 59 * time.Second, false, time.Second},
		"complete, the pod ended":               {launchedJob(), []client.Object{ended}, complete, time.Minute, true, 0},
		"complete, the pod is gone":             {launchedJob(), nil, complete, time.Minute, true, 0},
		"complete, ended, in time":              {endedJob, []client.Object{ended}, complete, time.Second, false, 59 * time.Second},
		"complete, ended":                       {endedJob, []client.Object{ended}, complete, time.Minute, true, 0},
		"complete, ended, the operator was off": {endedJob, []client.Object{ended}, complete, 20 * time.Hour, true, 0},
		"complete, of somebody else":            {foreign, nil, complete, time.Hour, false, 0},
		"in error, it runs":                     {launchedJob(), []client.Object{meshPod("")}, failed, 30 * time.Second, true, 0},
		"in error, between attempts":            {launchedJob(), nil, failed, 30 * time.Second, true, 0},
		"in error, ended, in time":              {endedJob, nil, failed, time.Minute, false, 9 * time.Minute},
		"in error, ended":                       {endedJob, nil, failed, 10 * time.Minute, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := aProcess()
			p.Spec.LifetimeSeconds = 86400
			p.Status = v1alpha1.ProcessStatus{State: test.state, Output: "{}", CompletionTime: metav1.NewTime(start)}
			r, now := world(t, interceptor.Funcs{}, append(test.pods, p, test.job.DeepCopy())...)
			r.KeepComplete, r.KeepFailed = time.Minute, 10*time.Minute
			now.SetTime(start.Add(test.after))
			if _, again, err := reconcileIt(t, r); err != nil || again != test.again {
				t.Errorf("looked at again in %s, error %v, want %s", again, err, test.again)
			}
			err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(p), &batchv1.Job{})
			if apierrors.IsNotFound(err) != test.deleted {
				t.Errorf("the Job: %v, want it deleted: %t", err, test.deleted)
			}
			// What follows the deletion of its Job launches nothing.
			if _, again, err := reconcileIt(t, r); err != nil || again != test.again {
				t.Errorf("the second time looked at again in %s, error %v, want %s", again, err, test.again)
			}
			if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(p), &batchv1.Job{}); apierrors.IsNotFound(err) != test.deleted {
				t.Errorf("the Job after a second look: %v, want it deleted: %t", err, test.deleted)
			}
		})
	}
}

// With 0, a Job is kept as long as its Process.
func TestJobsAreKept(t *testing.T) {
	for _, state := range []v1alpha1.State{v1alpha1.StateComplete, v1alpha1.StateError} {
		p, job := aProcess(), launchedJob()
		p.Spec.LifetimeSeconds = 86400
		p.Status = v1alpha1.ProcessStatus{State: state, Output: "{}", CompletionTime: metav1.NewTime(start)}
		job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		r, now := world(t, interceptor.Funcs{}, p, job)
		now.SetTime(start.Add(20 * time.Hour))
		_, again, err := reconcileIt(t, r)
		if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(p), &batchv1.Job{}); err != nil {
			t.Errorf("the Job of a process in state %s: %v", state, err)
		}
		if err != nil || again != 0 {
			t.Errorf("looked at again in %s, error %v, want not at all", again, err)
		}
	}
}

// A type that was accepted under a less strict policy launches nothing now.
func TestPodBeyondThePolicy(t *testing.T) {
	r, _ := world(t, interceptor.Funcs{}, aProcess(), aType())
	r.Violations = func(*metav1.ObjectMeta, *corev1.PodSpec) string { return "no root here" }
	p, _, err := reconcileIt(t, r)
	if err != nil || p.Status.ErrorCode != "TypeNotAccepted" || !strings.Contains(p.Status.ErrorDetails, "no root here") {
		t.Errorf("%+v, %v", p.Status, err)
	}
	if r.Client.Get(t.Context(), client.ObjectKey{Namespace: "work", Name: "p"}, &batchv1.Job{}) == nil {
		t.Error("it has a Job")
	}
}
