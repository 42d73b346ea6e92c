// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/internal/jobspec"
)

var config = jobspec.Config{AgentImage: "agent:1", AgentInjection: Auto, ServiceAccount: "worker", GraceSeconds: 25}

func TestExamine(t *testing.T) {
	waiting := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}},
		}}
	}
	ended := func(phase corev1.PodPhase, code int32, reason, message string) corev1.PodStatus {
		return corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}},
		}}
	}
	for name, test := range map[string]struct {
		dropped bool
		status  corev1.PodStatus
		want    finding
	}{
		"just made":                  {false, corev1.PodStatus{Phase: corev1.PodPending}, finding{cause: "the probe's pod is Pending"}},
		"dropped by the API server":  {true, corev1.PodStatus{Phase: corev1.PodPending}, finding{done: true, cause: "the API server dropped the image volume"}},
		"dropped, and run all right": {true, corev1.PodStatus{Phase: corev1.PodSucceeded}, finding{done: true, cause: "the API server dropped the image volume"}},
		"works": {
			false, ended(corev1.PodSucceeded, 0, "Completed", ""),
			finding{done: true, works: true, cause: "the probe's pod is Succeeded, its container exited with 0: Completed "},
		},
		"mounted empty": {
			false, ended(corev1.PodFailed, 128, "StartError", "no such file"),
			finding{done: true, cause: "the probe's pod is Failed, its container exited with 128: StartError no such file"},
		},
		"refused by the runtime": {
			false, waiting("CreateContainerError", "not supported"),
			finding{cause: "the probe's pod is Pending, its container waits: CreateContainerError not supported"},
		},
		"a slow pull": {
			false, waiting("ImagePullBackOff", ""), finding{cause: "the probe's pod is Pending, its container waits: ImagePullBackOff "},
		},
		"no node": {
			false, corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "none fits"}}},
			finding{cause: "the probe's pod is Pending, none fits"},
		},
		"ended by the kubelet": {
			false, corev1.PodStatus{Phase: corev1.PodFailed, Message: "DeadlineExceeded"}, finding{done: true, cause: "the probe's pod is Failed, DeadlineExceeded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := jobspec.Probe("work", config)
			if test.dropped {
				pod.Spec.Volumes = nil
			}
			pod.Status = test.status
			if diff := cmp.Diff(test.want, examine(pod), cmp.AllowUnexported(finding{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProber(t *testing.T) {
	left := jobspec.Probe("work", config)
	left.UID = "left"
	// after lets the pod be in a phase once some seconds have passed.
	after := func(seconds int, phase corev1.PodPhase) func(*corev1.Pod, time.Duration) {
		return func(pod *corev1.Pod, passed time.Duration) {
			if passed >= time.Duration(seconds)*time.Second {
				pod.Status.Phase = phase
			}
		}
	}
	for name, test := range map[string]struct {
		left                []client.Object
		create              error
		createOnce, deleted bool
		kubelet             func(pod *corev1.Pod, passed time.Duration)
		cancel              time.Duration
		want                v1alpha1.AgentInjection
		took                time.Duration // at most, and not half of it
	}{
		"works":              {kubelet: after(2, corev1.PodSucceeded), want: v1alpha1.AgentImageVolume, took: 2 * time.Second},
		"fails":              {kubelet: after(2, corev1.PodFailed), want: v1alpha1.AgentInitContainer, took: 2 * time.Second},
		"no answer":          {kubelet: after(3600, corev1.PodSucceeded), want: v1alpha1.AgentInitContainer, took: time.Minute},
		"left by another":    {left: []client.Object{left}, kubelet: after(4, corev1.PodSucceeded), want: v1alpha1.AgentImageVolume, took: 4 * time.Second},
		"must not make pods": {create: apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no")), want: v1alpha1.AgentInitContainer},
		"a bad moment":       {create: errors.New("connection refused"), createOnce: true, kubelet: after(2, corev1.PodSucceeded), want: v1alpha1.AgentImageVolume, took: 2 * time.Second},
		"no API server":      {create: errors.New("connection refused"), want: v1alpha1.AgentInitContainer, took: time.Minute},
		"deleted by someone": {deleted: true, want: v1alpha1.AgentInitContainer, took: time.Second},
		"refused":            {create: apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "", nil), want: v1alpha1.AgentInitContainer},
		"stopped meanwhile":  {kubelet: after(3600, corev1.PodSucceeded), cancel: 5 * time.Second, want: v1alpha1.AgentInitContainer, took: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, creates := time.Now(), 0
				kube := interceptor.NewClient(fake.NewClientBuilder().WithObjects(test.left...).Build(), interceptor.Funcs{
					Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
						creates++
						if test.create != nil && (creates == 1 || !test.createOnce) {
							return test.create
						}
						o.SetUID("made")
						return c.Create(ctx, o, options...)
					},
					Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
						if test.deleted {
							_ = c.Delete(ctx, o.(*corev1.Pod).DeepCopy())
						}
						err := c.Get(ctx, key, o, options...)
						if pod, ok := o.(*corev1.Pod); ok && err == nil && pod.UID == "made" {
							test.kubelet(pod, time.Since(start))
						}
						return err
					},
				})
				ctx := t.Context()
				if test.cancel != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.cancel)
					defer cancel()
				}
				p := &Prober{Client: kube, Live: kube, Namespace: "work", Job: config}
				if got := p.Injection(); got != v1alpha1.AgentInitContainer {
					t.Errorf("before the probe it returns %s", got)
				}
				if err := p.Start(ctx); err != nil {
					t.Fatal(err)
				}
				if got := p.Injection(); got != test.want {
					t.Errorf("it returns %s, want %s", got, test.want)
				}
				if took := time.Since(start); took > test.took || took < test.took/2 {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				var pods corev1.PodList
				if err := kube.List(t.Context(), &pods); err != nil || len(pods.Items) != 0 {
					t.Errorf("%d pods remain, %v", len(pods.Items), err)
				}
			})
		})
	}
}

func TestTheReasonIsKept(t *testing.T) {
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "probe", errors.New("quota exceeded"))
		},
	})
	p := &Prober{Client: kube, Live: kube, Namespace: "work", Job: config}
	if found := p.probe(t.Context()); found.works || !strings.Contains(found.cause, "quota exceeded") {
		t.Errorf("got %+v", found)
	}
}
