// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/api/v1alpha1"
)

// stringMap returns a copy of m, to which entries can be added.
func stringMap[V ~string](m map[string]V) map[string]string {
	out := make(map[string]string, len(m)+2)
	for key, value := range m {
		out[key] = string(value)
	}
	return out
}

// applyTemplate sets where and how the pod runs: nodes, priority, runtime, pull secrets and
// volumes.
func applyTemplate(spec *corev1.PodSpec, t v1alpha1.WorkerTemplate) {
	t = *t.DeepCopy() // the type belongs to a cache
	spec.NodeSelector = map[string]string{corev1.LabelOSStable: "linux"}
	maps.Copy(spec.NodeSelector, stringMap(t.NodeSelector))
	spec.Tolerations = append(spec.Tolerations, t.Tolerations...)
	if t.Affinity != (corev1.Affinity{}) {
		spec.Affinity = &t.Affinity
	}
	spec.PriorityClassName = t.PriorityClassName
	if t.RuntimeClassName != "" {
		spec.RuntimeClassName = &t.RuntimeClassName
	}
	for _, secret := range t.ImagePullSecrets {
		spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret.Name})
	}
	for _, volume := range t.Volumes {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: volume.Name, VolumeSource: volumeSource(volume)})
	}
}

// volumeSource returns one of the kinds of volume that give a pod no access to its node.
func volumeSource(v v1alpha1.Volume) corev1.VolumeSource {
	switch {
	case v.EmptyDir != nil:
		medium := corev1.StorageMediumDefault
		if v.EmptyDir.Medium == v1alpha1.MediumMemory {
			medium = corev1.StorageMediumMemory
		}
		return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: medium, SizeLimit: &v.EmptyDir.SizeLimit}}
	case v.ConfigMap.Name != "":
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: v.ConfigMap.Name}, Items: keysToPaths(v.ConfigMap.Items),
		}}
	case v.Secret.SecretName != "":
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: v.Secret.SecretName, Items: keysToPaths(v.Secret.Items)}}
	case v.PersistentVolumeClaim.ClaimName != "":
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: v.PersistentVolumeClaim.ClaimName}}
	default:
		return corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: v.Image.Reference, PullPolicy: v.Image.PullPolicy}}
	}
}

func keysToPaths(items []v1alpha1.KeyPath) []corev1.KeyToPath {
	var out []corev1.KeyToPath
	for _, item := range items {
		out = append(out, corev1.KeyToPath{Key: item.Key, Path: item.Path})
	}
	return out
}

func templateMounts(mounts []v1alpha1.VolumeMount) []corev1.VolumeMount {
	var out []corev1.VolumeMount
	for _, m := range mounts {
		out = append(out, corev1.VolumeMount{
			Name: m.Name, MountPath: m.MountPath, SubPath: m.SubPath, ReadOnly: m.Access == v1alpha1.AccessReadOnly,
		})
	}
	return out
}

// templateEnv returns the variables of a type, and HOME if the type does not set it: in
// most images the worker's user has no home directory, and programs that write there
// would fail.
func templateEnv(variables []v1alpha1.EnvVar) []corev1.EnvVar {
	var out []corev1.EnvVar
	if !slices.ContainsFunc(variables, func(v v1alpha1.EnvVar) bool { return v.Name == "HOME" }) {
		out = append(out, corev1.EnvVar{Name: "HOME", Value: "/tmp"})
	}
	for _, v := range variables {
		variable := corev1.EnvVar{Name: v.Name}
		if v.Value != nil {
			variable.Value = *v.Value
		}
		if ref := v.ValueFrom.SecretKeyRef; ref.Name != "" {
			variable.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: ref.Name}, Key: ref.Key,
			}}
		}
		if ref := v.ValueFrom.ConfigMapKeyRef; ref.Name != "" {
			variable.ValueFrom = &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: ref.Name}, Key: ref.Key,
			}}
		}
		out = append(out, variable)
	}
	return out
}
