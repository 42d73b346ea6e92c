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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"procman.dev/procman/api/v1alpha1"
)

// slowness is what a slow machine may add to any bound of docs/process.md.
const slowness = 40 * time.Second

// failure is a row: a type that is changed, what its worker is told, and what its
// process has to come to, within bound of its creation.
type failure struct {
	change  func(*v1alpha1.ProcessTypeSpec)
	prepare func(t *testing.T, processType string)
	echo    string // "" for an empty script
	code    string
	details []string
	bound   time.Duration
	// atLeast is for what has to be waited for: it may pass.
	atLeast time.Duration
	attempt int32
}

// check registers a type for the row and sees the process end as it has to.
func (f failure) check(t *testing.T, processType string) {
	t.Helper()
	registerEcho(t, processType, func(s *v1alpha1.ProcessTypeSpec) {
		s.Attempts, s.StartTimeoutSeconds = 1, 60
		if f.change != nil {
			f.change(s)
		}
	})
	if f.prepare != nil {
		accepted(t, processType) // what is prepared is not to be found when the type is looked at
		f.prepare(t, processType)
	}
	input := `{}`
	if f.echo != "" {
		input = `{"echo":` + f.echo + `}`
	}
	id := post(t, processType, input)
	a := finish(t, processType, id, f.bound+slowness)
	if a.State != "error" || a.ErrorCode != f.code {
		t.Fatalf("process %s is in state %s: %s %s, want error %s", id, a.State, a.ErrorCode, a.ErrorDetails, f.code)
	}
	for _, want := range f.details {
		if !strings.Contains(string(a.ErrorDetails), want) {
			t.Errorf("errorDetails are %s, want %s in them", a.ErrorDetails, want)
		}
	}
	p := process(t, id)
	if took := p.Status.CompletionTime.Sub(p.CreationTimestamp.Time); took < f.atLeast || took > f.bound+slowness {
		t.Errorf("it took %s, want %s to %s and %s for a slow machine", took, f.atLeast, f.bound, slowness)
	} else {
		t.Logf("took %s of %s: %s %s", took, f.bound, a.ErrorCode, a.ErrorDetails)
	}
	var attempts int32
	if p.Status.Attempts != nil {
		attempts = *p.Status.Attempts
	}
	if attempts != f.attempt {
		t.Errorf("attempts are %d, want %d", attempts, f.attempt)
	}
}

func startsWithin(seconds int32) func(*v1alpha1.ProcessTypeSpec) {
	return func(s *v1alpha1.ProcessTypeSpec) { s.StartTimeoutSeconds = seconds }
}

func shaped(changes map[string]string) func(*testing.T, string) {
	return func(t *testing.T, processType string) { t.Helper(); shapeJobs(t, processType, changes) }
}

func refused(group, kind string, reason metav1.StatusReason) func(*testing.T, string) {
	return func(t *testing.T, processType string) { t.Helper(); refuse(t, processType, group, kind, reason) }
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]failure{
		"oom-main":  {echo: `{"memoryMiB":512}`, code: "OutOfMemory", details: []string{"limits.memory"}, bound: 10 * time.Second, attempt: 1},
		"oom-child": {echo: `{"childMemoryMiB":512}`, code: "OutOfMemory", details: []string{"limits.memory"}, bound: 10 * time.Second, attempt: 1},
		"deadline": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.TimeoutSeconds = 3 },
			echo:   `{"seconds":600}`, code: "DeadlineExceeded", details: []string{`"timeoutSeconds":3`}, bound: 10 * time.Second, atLeast: 3 * time.Second, attempt: 1,
		},
		"deadline-deaf": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.TimeoutSeconds = 3 },
			echo:   `{"seconds":600,"ignoreTerm":true}`, code: "DeadlineExceeded", details: []string{`"timeoutSeconds":3`},
			bound: 3*time.Second + 25*time.Second + 5*time.Second, atLeast: 28 * time.Second, attempt: 1,
		},
		"crash": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts = 2 },
			echo:   `{"exitCode":7}`, code: "WorkerFailed", details: []string{`"exitCode":7`, `"attempts":2`, "exiting with 7, as the input asks"},
			bound: 30 * time.Second, atLeast: 10 * time.Second, attempt: 2,
		},
		"no-program": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Command = 3, []string{"/no-such-program"} },
			code:   "WorkerFailed", details: []string{"/no-such-program"}, bound: 5 * time.Second, attempt: 1,
		},
		"no-agent": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Image = 3, "procman.local/operator:dev" },
			code:   "WorkerFailed", details: []string{"agent: Embedded", "no such file"}, bound: 5 * time.Second, attempt: 1,
		},
		"evicted": {
			change: func(s *v1alpha1.ProcessTypeSpec) { s.Attempts, s.Limits.ScratchBytes = 2, 1<<20 },
			echo:   `{"scratchMiB":8,"seconds":600}`, code: "Evicted", details: []string{"tmp", "exceeds"}, bound: 2 * 45 * time.Second, attempt: 2,
		},
		"unschedulable": {
			change: func(s *v1alpha1.ProcessTypeSpec) {
				s.StartTimeoutSeconds = 30
				s.Template.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
			},
			code: "Unschedulable", details: []string{"Insufficient cpu"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"no-such-node": {
			change: startsWithin(30), prepare: shaped(map[string]string{"nodeSelector": `{"no-such": "label"}`}),
			code: "Unschedulable", details: []string{"node affinity/selector"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"no-volume": {
			change: startsWithin(30), prepare: shaped(map[string]string{
				"volumes/-":                   `{"name": "absent", "secret": {"secretName": "no-such-secret"}}`,
				"containers/0/volumeMounts/-": `{"name": "absent", "mountPath": "/absent"}`,
			}),
			code: "StartTimeout", details: []string{"no-such-secret", "not found"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"no-secret": {
			change:  startsWithin(45),
			prepare: shaped(map[string]string{"containers/0/env/-": `{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "a"}}}`}),
			code:    "StartTimeout", details: []string{"CreateContainerConfigError", "no-such-secret"}, bound: 45 * time.Second, atLeast: 45 * time.Second,
		},
		"no-runtime": {
			change: startsWithin(30), prepare: shaped(map[string]string{"runtimeClassName": `"no-such-runtime"`}),
			code: "StartTimeout", details: []string{`no-such-runtime`}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"quota": {
			change: startsWithin(30),
			prepare: func(t *testing.T, processType string) {
				give(t, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "procman-no-quota"}, Value: 1})
				give(t, &corev1.ResourceQuota{
					ObjectMeta: metav1.ObjectMeta{Namespace: workNamespace, Name: "not-a-single-pod"},
					Spec: corev1.ResourceQuotaSpec{
						Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")},
						ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{
							ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{"procman-no-quota"},
						}}},
					},
				})
				shapeJobs(t, processType, map[string]string{"priorityClassName": `"procman-no-quota"`})
			},
			code: "StartTimeout", details: []string{"exceeded quota: not-a-single-pod"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"pods-refused": {
			change: startsWithin(30), prepare: refused("", "pods", metav1.StatusReasonForbidden),
			code: "StartTimeout", details: []string{"not in this house"}, bound: 30 * time.Second, atLeast: 30 * time.Second,
		},
		"jobs-invalid": {
			prepare: refused("batch", "jobs", metav1.StatusReasonInvalid),
			code:    "LaunchRefused", details: []string{"not in this house"}, bound: time.Second,
		},
		"jobs-refused": {
			change: startsWithin(15), prepare: refused("batch", "jobs", metav1.StatusReasonForbidden),
			code: "LaunchRefused", details: []string{"not in this house"}, bound: 20 * time.Second, atLeast: 15 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.check(t, "fails-"+name)
		})
	}
}

func TestImageThatDoesNotCome(t *testing.T) {
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
	t.Run("a busy registry is asked again", func(t *testing.T) {
		t.Parallel()
		registry.busy.Store(2)
		registerEcho(t, "image-busy", image(registry.host+"/busy/echo-worker:"+registry.tag, 120))
		id := post(t, "image-busy", `{"a":1}`)
		complete(t, "image-busy", id)
		if left := registry.busy.Load(); left >= 0 {
			t.Errorf("the registry has not been asked: %d", left)
		}
	})
	t.Run("an image that says what it runs comes by its digest", func(t *testing.T) {
		t.Parallel()
		registerEcho(t, "image-told", func(s *v1alpha1.ProcessTypeSpec) {
			s.Image, s.Command = registry.host+"/idle/echo-worker:"+registry.tag, nil
		})
		id := post(t, "image-told", `{"a":1}`)
		complete(t, "image-told", id)
		pt := &v1alpha1.ProcessType{}
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: workNamespace, Name: "image-told"}, pt); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(pt.Status.Image, registry.host+"/idle/echo-worker@sha256:") || !slices.Equal(pt.Status.Command, []string{"/echo-worker"}) {
			t.Errorf("it is resolved to %q, which runs %q", pt.Status.Image, pt.Status.Command)
		}
		for _, pod := range workerPods(t, id) {
			if pod.Spec.Containers[0].Image != pt.Status.Image {
				t.Errorf("the pod runs %s, want %s", pod.Spec.Containers[0].Image, pt.Status.Image)
			}
		}
	})
}

func image(reference string, startTimeout int32) func(*v1alpha1.ProcessTypeSpec) {
	return func(s *v1alpha1.ProcessTypeSpec) { s.Image, s.StartTimeoutSeconds = reference, startTimeout }
}
