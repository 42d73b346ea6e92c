package controllers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"procman.dev/procman/api/v1alpha1"
)

// recorder is a manager that notes what is added to it. Nothing is started.
type recorder struct {
	manager.Manager
	added []string
}

func (r *recorder) Add(runnable manager.Runnable) error {
	name, _, _ := strings.Cut(fmt.Sprintf("%T", runnable), "[") // without type arguments
	if field := reflect.Indirect(reflect.ValueOf(runnable)).FieldByName("Name"); field.IsValid() {
		name += " " + field.String()
	}
	r.added = append(r.added, name)
	return r.Manager.Add(runnable)
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	mgr, err := manager.New(&rest.Config{Host: "http://127.0.0.1:1"}, manager.Options{
		Scheme: scheme, Cache: CacheOptions("work"), Metrics: server.Options{BindAddress: "0"},
		// Without an API server there is nothing to discover.
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) {
			mapper := meta.NewDefaultRESTMapper(nil)
			for kind := range scheme.AllKnownTypes() {
				mapper.Add(kind, meta.RESTScopeNamespace)
			}
			return mapper, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &recorder{Manager: mgr}
}

func validOptions() Options {
	o := Options{Namespace: "work", PodSecurity: "restricted", Concurrency: 1}
	o.Job.AgentDelivery = "Auto"
	return o
}

func TestSetupAddsEveryComponent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	mgr, metrics := newRecorder(t), prometheus.NewRegistry()
	if err := Setup(context.Background(), mgr, validOptions(), listener, metrics); err != nil {
		t.Fatal(err)
	}
	slices.Sort(mgr.added)
	want := []string{
		"*controller.Controller expiration", "*controller.Controller idempotency-key-expiration", "*controller.Controller process",
		"*controller.Controller processtype", "*controller.Controller processtype-counts", "*controller.Controller processtype-image",
		"*delivery.Prober", "*manager.Server collector", "*process.Positions",
	}
	if diff := cmp.Diff(want, mgr.added); diff != "" {
		t.Error(diff)
	}
	if err := Setup(context.Background(), newRecorder(t), validOptions(), listener, metrics); err == nil {
		t.Error("the metrics were registered twice, or not at all")
	}
	invalid := validOptions()
	invalid.PodSecurity = "lax"
	if err := Setup(context.Background(), newRecorder(t), invalid, listener, prometheus.NewRegistry()); err == nil {
		t.Error("an unknown pod security level is accepted")
	}
}

func TestTrimmedObjects(t *testing.T) {
	managed := []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	process := func(state v1alpha1.State, inputBytes int) *v1alpha1.Process {
		return &v1alpha1.Process{
			ObjectMeta: metav1.ObjectMeta{Name: "p", ManagedFields: managed, Annotations: map[string]string{"kept": "x", corev1.LastAppliedConfigAnnotation: "{}"}},
			Spec:       v1alpha1.ProcessSpec{Type: "t", Input: string(make([]byte, inputBytes))},
			Status:     v1alpha1.ProcessStatus{State: state, Output: "{}", ErrorDetails: "{}", ErrorCode: "No"},
		}
	}
	trimmed := func(state v1alpha1.State, inputBytes int) *v1alpha1.Process {
		p := process(state, inputBytes)
		p.ManagedFields, p.Annotations, p.Status.Output, p.Status.ErrorDetails = nil, map[string]string{"kept": "x"}, "", ""
		return p
	}
	owner := []metav1.OwnerReference{{Kind: "Job", UID: "job"}}
	for name, test := range map[string]struct {
		transform func(any) (any, error)
		o, want   any
	}{
		"a small input of a running process": {trimProcess, process("processing", cachedInputBytes), trimmed("processing", cachedInputBytes)},
		"a large input":                      {trimProcess, process("processing", cachedInputBytes+1), trimmed("processing", 0)},
		"the input of a terminal process":    {trimProcess, process("complete", 2), trimmed("complete", 0)},
		"a Job": {trimJob,
			&batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{Name: "j", ManagedFields: managed},
				Spec: batchv1.JobSpec{BackoffLimit: new(int32(2)), Suspend: new(true), Completions: new(int32(1)), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					ActiveDeadlineSeconds: new(int64(9)), TerminationGracePeriodSeconds: new(int64(8)), Containers: []corev1.Container{{Name: "worker"}},
				}}},
				Status: batchv1.JobStatus{Failed: 1},
			},
			&batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{Name: "j"},
				Spec: batchv1.JobSpec{BackoffLimit: new(int32(2)), Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					ActiveDeadlineSeconds: new(int64(9)), TerminationGracePeriodSeconds: new(int64(8)),
				}}},
				Status: batchv1.JobStatus{Failed: 1},
			},
		},
		"a pod": {trimPod,
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{ManagedFields: managed, OwnerReferences: owner}, Spec: corev1.PodSpec{NodeName: "n", HostNetwork: true}, Status: corev1.PodStatus{Phase: "Running"}},
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: owner}, Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: "Running"}},
		},
		"a Lease": {trimManagedFields, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ManagedFields: managed}}, &coordinationv1.Lease{}},
		// An informer may hand over a deletion in this form; there is nothing to trim.
		"not an object": {trimPod, "text", "text"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.transform(test.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
