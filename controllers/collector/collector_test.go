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
func getInput(t *testing.T, objects ...client.Object) (agentapi.Input, error) {
	t.Helper()
	c := newClient(t, objects...)
	handler := (&Collector{Client: c, Live: c, Clock: clocktesting.NewFakePassiveClock(start), Namespace: "work", ServiceAccount: "worker"}).handler()
	r := httptest.NewRequest(http.MethodGet, agentapi.InputPath, nil)
	r.Header.Set("Authorization", "Bearer token")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if err := agentapi.ReadError(w.Result(), w.Body.Bytes()); err != nil {
		return agentapi.Input{}, err
	}
	p := &v1alpha1.Process{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "work", Name: "p"}, p); err != nil || !p.Status.StartTime.Time.Equal(start) {
		t.Errorf("the start time is %s, %v, want %s", p.Status.StartTime, err, start)
	}
	return agentapi.ReadInput(w.Header(), w.Body.Bytes())
}

func TestInput(t *testing.T) {
	p, job, pod := world()
	got, err := getInput(t, p, job, pod)
	want := agentapi.Input{ProcessID: "p", ProcessType: "t", Attempt: 1, Timeout: 90 * time.Second, Text: `{"n": 1.0}`}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
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
			in, err := getInput(t, append(test.more, p, job, pod)...)
			if err == nil || strings.Contains(in.Text, "1.0") {
				t.Fatalf("it gets %+v", in)
			}
			if test.want != nil && !errors.Is(err, test.want) || test.want == nil && agentapi.Final(err) {
				t.Errorf("got %v, want %v", err, test.want)
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

// Each report is a write to etcd. A worker that reads its agent's token can send as many
// as it likes.
func TestFloodOfProgress(t *testing.T) {
	p, job, pod := world()
	c, now := newClient(t, p, job, pod), clocktesting.NewFakePassiveClock(start)
	handler := (&Collector{Client: c, Live: c, Clock: now, Namespace: "work", ServiceAccount: "worker"}).handler()
	report := func(percent int) int {
		r := httptest.NewRequest(http.MethodPut, agentapi.ProgressPath, strings.NewReader(fmt.Sprintf(`{"percentComplete":%d}`, percent)))
		r.Header.Set("Authorization", "Bearer token")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	shown := func() int32 {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil || p.Status.PercentComplete == nil {
			t.Fatalf("there is no progress: %v", err)
		}
		return *p.Status.PercentComplete
	}
	if code := report(1); code != http.StatusOK || shown() != 1 {
		t.Fatalf("the first report: %d, shown is %d", code, shown())
	}
	version := p.ResourceVersion
	for percent := range 101 {
		if code := report(percent); code != http.StatusTooManyRequests {
			t.Errorf("report of %d at once: %d, want 429", percent, code)
		}
	}
	now.SetTime(start.Add(time.Hour))
	if code := report(5); code != http.StatusTooManyRequests {
		t.Errorf("a report that differs by 4: %d, want 429", code)
	}
	if shown() != 1 || p.ResourceVersion != version {
		t.Errorf("shown is %d, in version %s, want that nothing was written after %s", shown(), p.ResourceVersion, version)
	}
	if code := report(60); code != http.StatusOK || shown() != 60 {
		t.Errorf("a report that is due: %d, shown is %d", code, shown())
	}
}
