// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"procman.dev/procman/api/v1alpha1"
)

// workerUser is the user and the group of workers whose type does not set them.
const workerUser int64 = 65532

// podSecurity returns the users and groups of a pod. It does not check what the type asks
// for: the operator's policy has already accepted the type.
func podSecurity(s v1alpha1.SecurityContext) *corev1.PodSecurityContext {
	user := ptr.Deref(s.RunAsUser, workerUser)
	out := &corev1.PodSecurityContext{
		RunAsNonRoot:   new(user != 0),
		RunAsUser:      &user,
		RunAsGroup:     new(ptr.Deref(s.RunAsGroup, workerUser)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if s.FSGroup != nil {
		out.FSGroup = new(*s.FSGroup)
		// Otherwise the kubelet would change every file of the volume for each process.
		out.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch)
	}
	return out
}

// workerSecurity returns the rights of the worker's container: only those that the type
// asks for.
func workerSecurity(s v1alpha1.SecurityContext) *corev1.SecurityContext {
	out := restricted()
	*out.AllowPrivilegeEscalation = s.PrivilegeEscalation == v1alpha1.PrivilegeEscalationAllowed
	*out.ReadOnlyRootFilesystem = s.RootFilesystem != v1alpha1.RootFilesystemWritable
	for _, capability := range s.AddCapabilities {
		out.Capabilities.Add = append(out.Capabilities.Add, corev1.Capability(capability))
	}
	return out
}

// restricted returns what the Pod Security Standard "restricted" requires, and a read-only
// root file system.
func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}
