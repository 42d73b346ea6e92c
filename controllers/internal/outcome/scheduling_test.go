// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestRequirements(t *testing.T) {
	spec := func(change func(*corev1.PodSpec)) string {
		s := &corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
		}}}}
		change(s)
		return Requirements(s)
	}
	before := spec(func(*corev1.PodSpec) {})
	for name, test := range map[string]struct {
		change func(*corev1.PodSpec)
		same   bool
	}{
		"another image":     {func(s *corev1.PodSpec) { s.Containers[0].Image = "other" }, true},
		"the node":          {func(s *corev1.PodSpec) { s.NodeName = "node-7" }, true},
		"another directory": {func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "tmp"}} }, true},
		"more CPU": {func(s *corev1.PodSpec) {
			s.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("1000")
		}, false},
		"an init container": {func(s *corev1.PodSpec) { s.InitContainers = s.Containers }, false},
		"a label of nodes":  {func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"disk": "fast"} }, false},
		"a toleration":      {func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{{Key: "gpu"}} }, false},
		"a priority":        {func(s *corev1.PodSpec) { s.PriorityClassName = "high" }, false},
		"another scheduler": {func(s *corev1.PodSpec) { s.SchedulerName = "other" }, false},
		"a persistent volume": {func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}
		}, false},
	} {
		if same := spec(test.change) == before; same != test.same {
			t.Errorf("%s: the hash is the same: %t, want %t", name, same, test.same)
		}
	}
}
