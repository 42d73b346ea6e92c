// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
)

// slowMargin is how much later than a bound of docs/process.md something may happen
// on a slow machine.
const slowMargin = 40 * time.Second

// failure is a way to fail: a changed type, a script for the echo worker, and how the
// process must end.
type failure struct {
	change  func(*v1alpha1.ProcessTypeSpec)
	prepare func(t *testing.T, processType string)
	script  string // of the echo worker; "" for an input without a script
	code    string
	details []string
	// The process ends between atLeast and bound after its creation.
	atLeast, bound time.Duration
	attempts       int32
}

// check registers a type and checks that a process of it fails as described.
func (f failure) check(t *testing.T, processType string) {
	t.Helper()
	registerEcho(t, processType, func(s *v1alpha1.ProcessTypeSpec) {
		s.Attempts, s.StartTimeoutSeconds = 1, 60
		if f.change != nil {
			f.change(s)
		}
	})
	if f.prepare != nil {
		awaitAccepted(t, processType)
		f.prepare(t, processType)
	}
	input := `{}`
	if f.script != "" {
		input = `{"echo":` + f.script + `}`
	}
	id := post(t, processType, input)
	a := awaitTerminal(t, processType, id, f.bound+slowMargin)
	if a.State != "error" || a.ErrorCode != f.code {
		t.Fatalf("process %s is in state %s: %s %s, want error %s", id, a.State, a.ErrorCode, a.ErrorDetails, f.code)
	}
	for _, want := range f.details {
		if !strings.Contains(string(a.ErrorDetails), want) {
			t.Errorf("errorDetails are %s, want %s in them", a.ErrorDetails, want)
		}
	}
	p := getProcess(t, id)
	if took := p.Status.CompletionTime.Sub(p.CreationTimestamp.Time); took < f.atLeast || took > f.bound+slowMargin {
		t.Errorf("it took %s, want %s to %s, plus at most %s on a slow machine", took, f.atLeast, f.bound, slowMargin)
	} else {
		t.Logf("took %s of %s: %s %s", took, f.bound, a.ErrorCode, a.ErrorDetails)
	}
	var attempts int32
	if p.Status.Attempts != nil {
		attempts = *p.Status.Attempts
	}
	if attempts != f.attempts {
		t.Errorf("attempts are %d, want %d", attempts, f.attempts)
	}
}

// startsWithin sets the start timeout of a type.
func startsWithin(seconds int32) func(*v1alpha1.ProcessTypeSpec) {
	return func(s *v1alpha1.ProcessTypeSpec) { s.StartTimeoutSeconds = seconds }
}

// mutatingJobs is mutateJobs as a step of preparation.
func mutatingJobs(changes map[string]string) func(*testing.T, string) {
	return func(t *testing.T, processType string) { t.Helper(); mutateJobs(t, processType, changes) }
}

// rejecting is rejectCreation as a step of preparation.
func rejecting(group, kind string, reason metav1.StatusReason) func(*testing.T, string) {
	return func(t *testing.T, processType string) {
		t.Helper()
		rejectCreation(t, processType, group, kind, reason)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]failure{
		"oom-main":  {script: `{"memoryMiB":512}`, code: "OutOfMemory", details: []string{"limits.memory"}, bound: 10 * time.Second, attempts: 1},
		"oom-child": {script: `{"childMemoryMiB":512}`, code: "OutOfMemory", details: []string{"limits.memory"}, bound: 10 * time.Second, attempts: 1},
		"deadline": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.TimeoutSeconds = 3 },
			script: `{"seconds":600}`, code: "DeadlineExceeded", details: []string{`"timeoutSeconds":3`}, bound: 10 * time.Second, atLeast: 3 * time.Second, attempts: 1,
		},
		"deadline-ignored": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.TimeoutSeconds = 3 },
			script: `{"seconds":600,"ignoreTerm":true}`, code: "DeadlineExceeded", details: []string{`"timeoutSeconds":3`},
			bound: 3*time.Second + 25*time.Second + 5*time.Second, atLeast: 28 * time.Second, attempts: 1,
		},
		"crash": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Stderr = 2, v1alpha1.StderrShown },
			script: `{"exitCode":7}`, code: "WorkerFailed", details: []string{`"exitCode":7`, `"attempts":2`, "exiting with 7, as the input asks"},
			bound: 30 * time.Second, atLeast: 10 * time.Second, attempts: 2,
		},
		"no-program": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Command = 3, []string{"/no-such-program"} },
			code:   "WorkerFailed", details: []string{"/no-such-program"}, bound: 5 * time.Second, attempts: 1,
		},
		"no-agent": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Image = 3, "procman.local/operator:dev" },
			code:   "WorkerFailed", details: []string{"agent: Embedded", "no such file"}, bound: 5 * time.Second, attempts: 1,
		},
		"evicted": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Limits.ScratchBytes = 2, 1<<20 },
			script: `{"scratchMiB":8,"seconds":600}`, code: "Evicted", details: []string{"tmp", "exceeds"}, bound: 2 * 45 * time.Second, attempts: 2,
		},
		"unschedulable": {
			change: func(s *v1alpha1.ProcessTypeSpec) {
				s.StartTimeoutSeconds = 30
				s.Template.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
			},
			code: "Unschedulable", details: []string{"Insufficient cpu"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"no-such-node": {
			change: startsWithin(30), prepare: mutatingJobs(map[string]string{"nodeSelector": `{"no-such": "label"}`}),
			code: "Unschedulable", details: []string{"node affinity/selector"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"no-volume": {
			change: startsWithin(30), prepare: mutatingJobs(map[string]string{
				"volumes/-":                   `{"name": "absent", "secret": {"secretName": "no-such-secret"}}`,
				"containers/0/volumeMounts/-": `{"name": "absent", "mountPath": "/absent"}`,
			}),
			code: "StartTimeout", details: []string{"no-such-secret", "not found"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"no-secret": {
			change:  startsWithin(45),
			prepare: mutatingJobs(map[string]string{"containers/0/env/-": `{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "a"}}}`}),
			code:    "StartTimeout", details: []string{"CreateContainerConfigError", "no-such-secret"}, bound: 45 * time.Second, atLeast: 45 * time.Second,
		},
		"no-runtime": {
			change: startsWithin(30), prepare: mutatingJobs(map[string]string{"runtimeClassName": `"no-such-runtime"`}),
			code: "StartTimeout", details: []string{`no-such-runtime`}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"quota": {
			change: startsWithin(30),
			prepare: func(t *testing.T, processType string) {
				createForTest(t, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "procman-no-quota"}, Value: 1})
				createForTest(t, &corev1.ResourceQuota{
					ObjectMeta: named("no-pods"),
					Spec: corev1.ResourceQuotaSpec{
						Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")},
						ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{
							ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{"procman-no-quota"},
						}}},
					},
				})
				mutateJobs(t, processType, map[string]string{"priorityClassName": `"procman-no-quota"`})
			},
			code: "StartTimeout", details: []string{"exceeded quota: no-pods"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"pods-refused": {
			change: startsWithin(30), prepare: rejecting("", "pods", metav1.StatusReasonForbidden),
			code: "StartTimeout", details: []string{"rejected by the test"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"jobs-invalid": {
			prepare: rejecting("batch", "jobs", metav1.StatusReasonInvalid),
			code:    "LaunchRefused", details: []string{"rejected by the test"}, bound: time.Second,
		},
		"jobs-refused": {
			change: startsWithin(15), prepare: rejecting("batch", "jobs", metav1.StatusReasonForbidden),
			code: "LaunchRefused", details: []string{"rejected by the test"}, bound: 20 * time.Second, atLeast: 15 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.check(t, "fails-"+name)
		})
	}
}

func TestImageCannotBePulled(t *testing.T) {
	t.Parallel()
	registry := startRegistry(t)
	for name, f := range map[string]failure{
		"bad-name":    {change: image("Not An Image!", 60), bound: 5 * time.Second},
		"no-registry": {change: image("no-such-registry.example/worker:1", 30), bound: 30 * time.Second, atLeast: 30 * time.Second},
		"no-image":    {change: image(registry.host+"/no-such-image:1", 30), bound: 30 * time.Second, atLeast: 30 * time.Second, details: []string{"no-such-image", "not found"}},
		"no-login":    {change: image(registry.host+"/private/worker:dev", 30), bound: 30 * time.Second, atLeast: 30 * time.Second, details: []string{"private/worker", "authoriz"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.code = "ImagePullFailed"
			f.check(t, "image-"+name)
		})
	}
	t.Run("a busy registry is tried again", func(t *testing.T) {
		t.Parallel()
		registry.busy.Store(2)
		registerEcho(t, "image-busy", image(registry.host+"/busy/echo-worker:"+registry.tag, 120))
		id := post(t, "image-busy", `{"a":1}`)
		awaitComplete(t, "image-busy", id)
		if left := registry.busy.Load(); left >= 0 {
			t.Errorf("the image was pulled before the registry had answered 429 twice: %d such answers are left", left)
		}
	})
	t.Run("an image without a command in the type is pulled by digest", func(t *testing.T) {
		t.Parallel()
		registerEcho(t, "image-resolved", func(s *v1alpha1.ProcessTypeSpec) {
			s.Image, s.Command = registry.host+"/idle/echo-worker:"+registry.tag, nil
		})
		id := post(t, "image-resolved", `{"a":1}`)
		awaitComplete(t, "image-resolved", id)
		pt := getType(t, "image-resolved")
		if !strings.HasPrefix(pt.Status.Image, registry.host+"/idle/echo-worker@sha256:") || !slices.Equal(pt.Status.Command, []string{"/echo-worker"}) {
			t.Errorf("the type is resolved to image %q and command %q", pt.Status.Image, pt.Status.Command)
		}
		for _, pod := range workerPods(t, id) {
			if pod.Spec.Containers[0].Image != pt.Status.Image {
				t.Errorf("the pod runs %s, want %s", pod.Spec.Containers[0].Image, pt.Status.Image)
			}
		}
	})
}

// image sets the image and the start timeout of a type.
func image(reference string, startTimeout int32) func(*v1alpha1.ProcessTypeSpec) {
	return func(s *v1alpha1.ProcessTypeSpec) { s.Image, s.StartTimeoutSeconds = reference, startTimeout }
}
