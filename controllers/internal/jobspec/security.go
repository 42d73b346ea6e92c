package jobspec

import (
	corev1 "k8s.io/api/core/v1"

	"procman.dev/procman/api/v1alpha1"
)

// workerUser is the user and group that workers run as when their type does not
// say.
const workerUser int64 = 65532

// podSecurity is as whom a pod runs. What the type may ask for is for the
// operator's policy to say, when it looks at the type.
func podSecurity(s v1alpha1.SecurityContext) *corev1.PodSecurityContext {
	user, group := workerUser, workerUser
	if s.RunAsUser != nil {
		user = *s.RunAsUser
	}
	if s.RunAsGroup != nil {
		group = *s.RunAsGroup
	}
	out := &corev1.PodSecurityContext{
		RunAsNonRoot:   new(user != 0),
		RunAsUser:      &user,
		RunAsGroup:     &group,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if s.FSGroup != nil {
		out.FSGroup = new(*s.FSGroup)
		// To look at every file of a large volume for each process takes long.
		out.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch)
	}
	return out
}

// workerSecurity is which rights the worker's container has: none, but what the
// type asks for.
func workerSecurity(s v1alpha1.SecurityContext) *corev1.SecurityContext {
	out := restricted()
	*out.AllowPrivilegeEscalation = s.PrivilegeEscalation == v1alpha1.PrivilegeEscalationAllowed
	*out.ReadOnlyRootFilesystem = s.RootFilesystem != v1alpha1.RootFilesystemWritable
	for _, capability := range s.AddCapabilities {
		out.Capabilities.Add = append(out.Capabilities.Add, corev1.Capability(capability))
	}
	return out
}

// restricted is what the Pod Security Standard of that name asks for, and a
// root file system that stays as the image made it.
func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}
