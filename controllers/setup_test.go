// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"sigs.k8s.io/controller-runtime/pkg/client"
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
	o := Options{Namespace: "work", Store: "file:///tmp", PodSecurity: "restricted", Concurrency: 1}
	o.Job.AgentInjection = "Auto"
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
		"*injection.Prober", "*manager.Server collector", "*store.Monitor", "*sweeper.Sweeper",
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

// Each kind of object is trimmed before it gets into the cache.
func TestCachedObjects(t *testing.T) {
	managed := []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	owner := []metav1.OwnerReference{{Kind: "Job", UID: "job"}}
	for name, test := range map[string]struct{ o, want client.Object }{
		"a process": {
			&v1alpha1.Process{
				ObjectMeta: metav1.ObjectMeta{Name: "p", ManagedFields: managed},
				Spec:       v1alpha1.ProcessSpec{Type: "t", Input: "{}"},
				Status:     v1alpha1.ProcessStatus{State: "error", ErrorCode: "No", ErrorDetails: "{}"},
			},
			&v1alpha1.Process{
				ObjectMeta: metav1.ObjectMeta{Name: "p"},
				Spec:       v1alpha1.ProcessSpec{Type: "t", Input: "~2"},
				Status:     v1alpha1.ProcessStatus{State: "error", ErrorCode: "No", ErrorDetails: "~2"},
			},
		},
		"a small input that is still needed": {
			&v1alpha1.Process{Spec: v1alpha1.ProcessSpec{Input: "{}"}},
			&v1alpha1.Process{Spec: v1alpha1.ProcessSpec{Input: "{}"}},
		},
		"a type": {
			&v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "t", ManagedFields: managed}},
			&v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "t"}},
		},
		"a Job": {
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
		"a pod": {
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{ManagedFields: managed, OwnerReferences: owner}, Spec: corev1.PodSpec{NodeName: "n", HostNetwork: true}, Status: corev1.PodStatus{Phase: "Running"}},
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: owner}, Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: "Running"}},
		},
		"a Lease": {&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ManagedFields: managed}}, &coordinationv1.Lease{}},
	} {
		t.Run(name, func(t *testing.T) {
			trimmed := false
			for kind, options := range CacheOptions("work").ByObject {
				if reflect.TypeOf(kind) != reflect.TypeOf(test.o) {
					continue
				}
				got, err := options.Transform(test.o)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(any(test.want), got); diff != "" {
					t.Error(diff)
				}
				trimmed = true
			}
			if !trimmed {
				t.Error("the cache has no options for this kind")
			}
		})
	}
}
