// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobpods

import (
	"errors"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"procman.dev/procman/api/v1alpha1"
)

func meta(namespace, name, uid string, owner ...metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), OwnerReferences: owner}
}

func controller(apiVersion, kind, name, uid string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: types.UID(uid), Controller: new(true)}
}

func cluster(t *testing.T, objects ...client.Object) client.Reader {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithIndex(&corev1.Pod{}, ControllerUID, IndexControllerUID).Build()
}

func TestList(t *testing.T) {
	job := &batchv1.Job{ObjectMeta: meta("work", "j", "job")}
	pod := func(namespace, name string, owner ...metav1.OwnerReference) client.Object {
		return &corev1.Pod{ObjectMeta: meta(namespace, name, name, owner...)}
	}
	mine := controller("batch/v1", "Job", "j", "job")
	notController := mine
	notController.Controller = nil
	got, err := List(t.Context(), cluster(t,
		pod("work", "a", mine), pod("work", "b", mine), pod("work", "of-an-earlier-job", controller("batch/v1", "Job", "j", "earlier")),
		pod("work", "alone"), pod("work", "not-controlled", notController), pod("other", "elsewhere", mine),
	), job)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" {
		t.Errorf("got %v", got)
	}
}

func TestProcess(t *testing.T) {
	group := v1alpha1.GroupVersion.String()
	c := cluster(t,
		&batchv1.Job{ObjectMeta: meta("work", "j", "job", controller(group, "Process", "p", "process"))},
		&batchv1.Job{ObjectMeta: meta("work", "alone", "alone")},
		&batchv1.Job{ObjectMeta: meta("work", "cron", "cron", controller("batch/v1", "CronJob", "c", "c"))},
		&batchv1.Job{ObjectMeta: meta("work", "foreign", "foreign", controller("other.dev/v1", "Process", "p", "process"))},
	)
	for name, test := range map[string]struct {
		owners []metav1.OwnerReference
		want   string
	}{
		"a worker's pod":               {[]metav1.OwnerReference{controller("batch/v1", "Job", "j", "job")}, "work/p"},
		"a pod of a deleted Job":       {[]metav1.OwnerReference{controller("batch/v1", "Job", "j", "earlier")}, ""},
		"a Job that the cache has not": {[]metav1.OwnerReference{controller("batch/v1", "Job", "new", "new")}, ""},
		"a pod without an owner":       {nil, ""},
		"a pod of a ReplicaSet":        {[]metav1.OwnerReference{controller("apps/v1", "ReplicaSet", "j", "job")}, ""},
		"a Job without an owner":       {[]metav1.OwnerReference{controller("batch/v1", "Job", "alone", "alone")}, ""},
		"a Job of a CronJob":           {[]metav1.OwnerReference{controller("batch/v1", "Job", "cron", "cron")}, ""},
		"a Process of another group":   {[]metav1.OwnerReference{controller("batch/v1", "Job", "foreign", "foreign")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Process(t.Context(), c, &corev1.Pod{ObjectMeta: meta("work", "pod", "pod", test.owners...)})
			if ok != (test.want != "") || ok && got.String() != test.want {
				t.Errorf("got %s, %t, want %q", got, ok, test.want)
			}
		})
	}
}
