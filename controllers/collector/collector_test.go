// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobpods"
	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/agentapi/agentserver"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func owned(name, uid, apiVersion, kind, owner, ownerUID string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "work", Name: name, UID: types.UID(uid), CreationTimestamp: metav1.NewTime(start),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: owner, UID: types.UID(ownerUID), Controller: new(true)}},
	}
}

// world returns the objects of one process with one pod.
func world() (*v1alpha1.Process, *batchv1.Job, *corev1.Pod) {
	p := &v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Namespace: "work", Name: "p", UID: "process"},
		Spec:       v1alpha1.ProcessSpec{Type: "t", Input: `{"n": 1.0}`},
	}
	job := &batchv1.Job{
		ObjectMeta: owned("j", "job", v1alpha1.GroupVersion.String(), "Process", "p", "process"),
		Spec:       batchv1.JobSpec{BackoffLimit: new(int32(1))},
	}
	job.Annotations = map[string]string{v1alpha1.AnnotationTimeoutSeconds: "90"}
	return p, job, &corev1.Pod{ObjectMeta: owned("pod", "pod", "batch/v1", "Job", "j", "job")}
}

// newClient returns a client for which every token is of the pod "pod" with the UID "pod".
func newClient(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Process{}).WithIndex(&corev1.Pod{}, jobpods.ControllerUID, jobpods.IndexControllerUID).
		WithInterceptorFuncs(interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			o.(*authenticationv1.TokenReview).Status = authenticationv1.TokenReviewStatus{
				Authenticated: true, Audiences: []string{agentapi.Audience},
				User: authenticationv1.UserInfo{
					Username: "system:serviceaccount:work:worker",
					Extra:    map[string]authenticationv1.ExtraValue{extraPodName: {"pod"}, extraPodUID: {"pod"}},
				},
			}
			return nil
		}}).Build()
}

// getInput asks a collector for an input as an agent does.
func getInput(t *testing.T, objects ...client.Object) (agentapi.Input, string, error) {
	t.Helper()
	c := newClient(t, objects...)
	handler := (&Collector{Client: c, Live: c, Clock: clocktesting.NewFakePassiveClock(start), Namespace: "work", ServiceAccount: "worker"}).handler()
	r := httptest.NewRequest(http.MethodGet, agentapi.InputPath, nil)
	r.Header.Set("Authorization", "Bearer token")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if err := agentapi.ReadError(w.Result()); err != nil {
		return agentapi.Input{}, w.Body.String(), err
	}
	p := &v1alpha1.Process{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "work", Name: "p"}, p); err != nil || !p.Status.StartTime.Time.Equal(start) {
		t.Errorf("the start time is %s, %v, want %s", p.Status.StartTime, err, start)
	}
	in, err := agentapi.ReadInput(w.Header())
	return in, w.Body.String(), err
}

func TestInput(t *testing.T) {
	p, job, pod := world()
	got, text, err := getInput(t, p, job, pod)
	want := agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 1, Timeout: 90 * time.Second}
	if err != nil || got != want || text != `{"n": 1.0}` {
		t.Errorf("got %+v, %s, %v, want %+v", got, text, err, want)
	}
}

// A token is good for the process that owns the pod's Job, and only while that needs the
// pod.
func TestAttemptsThatDoNotCount(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha1.Process, *batchv1.Job, *corev1.Pod)
		more   []client.Object
		want   error
	}{
		"another pod of the name":      {func(_ *v1alpha1.Process, _ *batchv1.Job, pod *corev1.Pod) { pod.UID = "other" }, nil, agentapi.ErrOver},
		"a pod without an owner":       {func(_ *v1alpha1.Process, _ *batchv1.Job, pod *corev1.Pod) { pod.OwnerReferences = nil }, nil, agentapi.ErrOver},
		"another Job of the name":      {func(_ *v1alpha1.Process, job *batchv1.Job, _ *corev1.Pod) { job.UID = "other" }, nil, agentapi.ErrOver},
		"a Job of something else":      {func(_ *v1alpha1.Process, job *batchv1.Job, _ *corev1.Pod) { job.OwnerReferences[0].APIVersion = "v1" }, nil, agentapi.ErrOver},
		"another Process of the name":  {func(p *v1alpha1.Process, _ *batchv1.Job, _ *corev1.Pod) { p.UID = "other" }, nil, agentapi.ErrOver},
		"a Process that is terminal":   {func(p *v1alpha1.Process, _ *batchv1.Job, _ *corev1.Pod) { p.Status.State = v1alpha1.StateComplete }, nil, agentapi.ErrOver},
		"a Job without its time limit": {func(_ *v1alpha1.Process, job *batchv1.Job, _ *corev1.Pod) { job.Annotations = nil }, nil, nil},
		"a newer pod of the Job": {func(*v1alpha1.Process, *batchv1.Job, *corev1.Pod) {}, []client.Object{func() client.Object {
			newer := &corev1.Pod{ObjectMeta: owned("newer", "newer", "batch/v1", "Job", "j", "job")}
			newer.CreationTimestamp = metav1.NewTime(start.Add(time.Second))
			return newer
		}()}, agentapi.ErrSuperseded},
	} {
		t.Run(name, func(t *testing.T) {
			p, job, pod := world()
			test.change(p, job, pod)
			in, text, err := getInput(t, append(test.more, p, job, pod)...)
			if err == nil || strings.Contains(text, "1.0") {
				t.Fatalf("it gets %+v, %s", in, text)
			}
			if test.want != nil && !errors.Is(err, test.want) || test.want == nil && agentapi.Final(err) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// flooded is a collector whose API server counts the writes to the status of the process.
type flooded struct {
	*agentserver.Handler
	client client.Client
	clock  *clocktesting.FakePassiveClock
	writes int
	fails  bool
	before func(client.Client) // is called once, before the first write
}

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	p, job, pod := world()
	f := &flooded{clock: clocktesting.NewFakePassiveClock(start)}
	f.client = interceptor.NewClient(newClient(t, p, job, pod).(client.WithWatch), interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			f.writes++
			if f.before != nil {
				f.before(c)
				f.before = nil
			}
			if f.fails {
				return errors.New("etcd is away")
			}
			return c.SubResource(sub).Patch(ctx, o, patch, options...)
		},
	})
	f.Handler = (&Collector{Client: f.client, Live: f.client, Clock: f.clock, Namespace: "work", ServiceAccount: "worker"}).handler()
	return f
}

// send sends a request with the pod's token and returns the status of the answer.
func (f *flooded) send(method, path, body string) int {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer token")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code
}

// A worker that has taken its pod's token causes at most one write in five seconds,
// whatever it reports.
func TestFloodOfProgress(t *testing.T) {
	f := newFlooded(t)
	statuses := map[int]int{}
	const seconds = 60
	for tick := range 100 * seconds {
		f.clock.SetTime(start.Add(time.Duration(tick) * 10 * time.Millisecond))
		statuses[f.send(http.MethodPut, agentapi.ProgressPath, fmt.Sprintf(`{"percentComplete":%d}`, 50*(tick%2)+tick%7))]++
	}
	if want := seconds / 5; f.writes != want {
		t.Errorf("%d reports caused %d writes, want %d", 100*seconds, f.writes, want)
	}
	if statuses[200]+statuses[429] != 100*seconds || statuses[429] < 90*seconds {
		t.Errorf("the answers are %v, want 200 and, most of the time, 429", statuses)
	}
}

func TestProgressOfAWorker(t *testing.T) {
	f := newFlooded(t)
	for i, step := range []struct {
		seconds, percent int
		fails            bool
		status, writes   int
		shown            int32
	}{
		{1, 10, false, 200, 1, 10},
		{2, 10, false, 200, 1, 10}, // the answer was lost
		{5, 90, false, 429, 1, 10},
		{6, 14, false, 429, 1, 10},
		{6, 15, true, 503, 2, 10},
		{7, 15, false, 429, 2, 10},
		{11, 15, false, 200, 3, 15},
		{70, 16, false, 429, 3, 15},
		{71, 16, false, 200, 4, 16},
	} {
		f.clock.SetTime(start.Add(time.Duration(step.seconds) * time.Second))
		f.fails = step.fails
		status := f.send(http.MethodPut, agentapi.ProgressPath, fmt.Sprintf(`{"percentComplete":%d}`, step.percent))
		p := &v1alpha1.Process{}
		if err := f.client.Get(t.Context(), client.ObjectKey{Namespace: "work", Name: "p"}, p); err != nil {
			t.Fatal(err)
		}
		if status != step.status || f.writes != step.writes || *p.Status.PercentComplete != step.shown {
			t.Errorf("%d: status %d after %d writes, percentComplete %d; want %+v", i, status, f.writes, *p.Status.PercentComplete, step)
		}
	}
}

// Each request for the input is answered, but only the first one is a write.
func TestFloodOfRequestsForTheInput(t *testing.T) {
	f := newFlooded(t)
	f.fails = true
	if status := f.send(http.MethodGet, agentapi.InputPath, ""); status != 503 || f.writes != 1 {
		t.Errorf("status %d after %d writes, want 503 after 1", status, f.writes)
	}
	f.fails = false
	for range 1000 {
		if status := f.send(http.MethodGet, agentapi.InputPath, ""); status != 200 || f.writes != 2 {
			t.Fatalf("status %d after %d writes, want 200 after 2", status, f.writes)
		}
	}
}

// The first write for the pod of a process that was queued also removes the condition
// Queued.
func TestStartOfAQueuedProcess(t *testing.T) {
	queued := metav1.Condition{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonQueued}
	refused := metav1.Condition{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRefused}
	other := metav1.Condition{Type: "Archived", Status: metav1.ConditionFalse, Reason: "Later"}
	for name, test := range map[string]struct {
		before, after []metav1.Condition
		changed       bool // since the cache has seen it
		writes        int
	}{
		"only that":             {[]metav1.Condition{queued}, nil, false, 1},
		"another too":           {[]metav1.Condition{other, queued}, []metav1.Condition{other}, false, 1},
		"not queued":            {[]metav1.Condition{other}, []metav1.Condition{other}, false, 1},
		"refused":               {[]metav1.Condition{refused}, []metav1.Condition{refused}, false, 1},
		"changed in the middle": {[]metav1.Condition{queued}, []metav1.Condition{queued, other}, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlooded(t)
			p, key := &v1alpha1.Process{}, client.ObjectKey{Namespace: "work", Name: "p"}
			if err := f.client.Get(t.Context(), key, p); err != nil {
				t.Fatal(err)
			}
			p.Status.Conditions = test.before
			if err := f.client.Status().Update(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if test.changed {
				f.before = func(c client.Client) {
					p.Status.Conditions = append(p.Status.Conditions, other)
					if err := c.Status().Update(t.Context(), p); err != nil {
						t.Error(err)
					}
				}
			}
			if status := f.send(http.MethodGet, agentapi.InputPath, ""); status != 200 || f.writes != test.writes {
				t.Errorf("status %d after %d writes, want 200 after %d", status, f.writes, test.writes)
			}
			if err := f.client.Get(t.Context(), key, p); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, p.Status.Conditions); diff != "" || !p.Status.StartTime.Time.Equal(start) {
				t.Errorf("started at %s, conditions (-want +got):\n%s", p.Status.StartTime, diff)
			}
		})
	}
}

// The Job counts the failure of a pod whose node was lost. If the node comes back, a crash
// of that pod is not the last one: the Job is about to create another pod.
func TestCrashOfAnAbandonedPodIsNotFinal(t *testing.T) {
	p, job, pod := world()
	job.Status.Failed = 1 // of two attempts
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "NodeLost"
	c := newClient(t, p, job, pod)
	a, err := (&Collector{Client: c, Live: c, Namespace: "work"}).find(t.Context(), identity{podName: "pod", podUID: "pod"})
	if err != nil || a.last {
		t.Errorf("the attempt is %+v, %v, want one that is not the last", a, err)
	}
}
