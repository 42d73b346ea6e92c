// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

const (
	// ProbeName is the name of the pod that tries an image volume.
	ProbeName = "procman-agent-probe"
	// ProbeSeconds is how long the pod may take.
	ProbeSeconds = 60
	// probeDir is where the pod mounts the agent's volume. The image of the pod contains
	// the agent too, in another directory. A probe in that directory would succeed without
	// the volume.
	probeDir = "/probe"
)

// Probe returns a pod that succeeds if and only if image volumes work. It is a worker's
// pod that gets its agent from an image volume, and runs "agent version" from there.
func Probe(namespace string, c Config) *corev1.Pod {
	small := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	t := &v1alpha1.ProcessType{Spec: v1alpha1.ProcessTypeSpec{
		Image: c.AgentImage, Command: []string{"version"}, Agent: v1alpha1.AgentImageVolume,
		Template: v1alpha1.WorkerTemplate{Resources: corev1.ResourceRequirements{Requests: small, Limits: small}},
	}}
	spec := Pod(t, c).Spec
	spec.ActiveDeadlineSeconds = new(int64(ProbeSeconds))
	container := &spec.Containers[0]
	container.Name = "probe"
	container.Command = append([]string{path.Join(probeDir, path.Base(agentapi.AgentPath))}, t.Spec.Command...)
	container.Env = nil
	for i := range container.VolumeMounts {
		if mount := &container.VolumeMounts[i]; mount.MountPath == path.Dir(agentapi.AgentPath) {
			mount.MountPath = probeDir
		}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: ProbeName,
			Labels: map[string]string{"app.kubernetes.io/name": ProbeName},
		},
		Spec: spec,
	}
}
