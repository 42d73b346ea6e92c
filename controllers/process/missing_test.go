// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"procman.dev/procman/api/v1alpha1"
)

// kubectl replace deletes a type and creates it again: processes that have waited for
// long do not fail because of that.
func TestTypeIsMissingForAMoment(t *testing.T) {
	r, now := world(t, interceptor.Funcs{}, aProcess())
	now.SetTime(start.Add(10 * time.Minute))
	typeT := client.ObjectKey{Namespace: "work", Name: "t"}
	r.Ledger.Unregister(typeT)
	if p, again, err := reconcileIt(t, r); err != nil || p.Finished() || again != missingTypeWait {
		t.Errorf("at once: %+v, again in %s, %v", p.Status, again, err)
	}
	now.SetTime(now.Now().Add(missingTypeWait))
	if p, _, err := reconcileIt(t, r); err != nil || p.Status.ErrorCode != "InvalidInput" {
		t.Errorf("after the grace: %+v, %v", p.Status, err)
	}

	r, now = world(t, interceptor.Funcs{}, aProcess(), aType())
	now.SetTime(start.Add(10 * time.Minute))
	r.Ledger.Unregister(typeT)
	r.Ledger.Register(typeT, 0)
	if _, _, err := reconcileIt(t, r); err != nil || r.Client.Get(t.Context(), client.ObjectKey{Namespace: "work", Name: "p"}, &batchv1.Job{}) != nil {
		t.Errorf("no Job is created for a type that exists again: %v", err)
	}
}

// The Job of an earlier Process with this name is about to be deleted; any other Job
// is not.
func TestJobOfThatName(t *testing.T) {
	job := func(owner *metav1.OwnerReference) *batchv1.Job {
		j := launchedJob()
		j.OwnerReferences = nil
		if owner != nil {
			j.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		return j
	}
	predecessor := &metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Process", Name: "p", UID: "earlier", Controller: new(true)}
	other := &metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Process", Name: "p", UID: "earlier", Controller: new(true)}
	for name, test := range map[string]struct {
		owner *metav1.OwnerReference
		after time.Duration
		code  string // "" while it waits
	}{
		"nobody's":                     {nil, 0, "NameTaken"},
		"another kind's":               {other, 0, "NameTaken"},
		"a predecessor's":              {predecessor, 0, ""},
		"a predecessor's that remains": {predecessor, predecessorWait, "NameTaken"},
	} {
		t.Run(name, func(t *testing.T) {
			r, now := world(t, interceptor.Funcs{}, aProcess(), aType(), job(test.owner))
			now.SetTime(start.Add(test.after))
			p, again, err := reconcileIt(t, r)
			if err != nil || p.Status.ErrorCode != test.code || (again > 0) != (test.code == "") {
				t.Errorf("%+v, again in %s, %v", p.Status, again, err)
			}
		})
	}
}
