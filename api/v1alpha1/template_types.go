// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// WorkerTemplate is the part of the worker's Job and pod that a type can set. Its fields
// have the same meaning as in a pod. The operator sets everything else. A change applies
// to processes launched later.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",message="every volumeMount must name one of volumes"
// +kubebuilder:validation:XValidation:rule="!has(self.volumeMounts) || self.volumeMounts.all(m, m.mountPath != '/dev/shm' || (has(self.volumes) && self.volumes.exists(v, v.name == m.name && has(v.emptyDir))))",message="the volume at /dev/shm must be an emptyDir"
type WorkerTemplate struct {
	// labels are labels of the Job and of the pod, added to those of the operator. At most
	// 16; none if absent. Keys under kubernetes.io, except app.kubernetes.io and
	// cluster-autoscaler.kubernetes.io, and under k8s.io and procman.dev are refused; put
	// labels for Kueue on the type itself.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.kubernetes.io/') || k.startsWith('app.kubernetes.io/') || k.startsWith('cluster-autoscaler.kubernetes.io/'))",message="labels under kubernetes.io are refused, except app.kubernetes.io and cluster-autoscaler.kubernetes.io"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('k8s.io/'))",message="labels under k8s.io are refused; put those for Kueue on the type itself"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.procman.dev/'))",message="labels under procman.dev are reserved"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations are annotations of the Job and of the pod, added to those of the
	// operator. At most 16; none if absent. The same keys as in labels are refused.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.kubernetes.io/') || k.startsWith('app.kubernetes.io/') || k.startsWith('cluster-autoscaler.kubernetes.io/'))",message="annotations under kubernetes.io are refused, except app.kubernetes.io and cluster-autoscaler.kubernetes.io"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('k8s.io/'))",message="annotations under k8s.io are refused"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.procman.dev/'))",message="annotations under procman.dev are reserved"
	// +optional
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// resources are the requests and limits of the worker's container. The defaults of
	// the namespace if absent.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`

	// nodeSelector are the labels that a node must have, added to kubernetes.io/os: linux.
	// At most 16; any node with Linux if absent.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +optional
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations are the taints of nodes that the pod tolerates. At most 16; none if
	// absent, except those of the operator.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity are the scheduling constraints of the pod. None if absent.
	// +optional
	Affinity corev1.Affinity `json:"affinity,omitempty,omitzero"`

	// priorityClassName is the name of the PriorityClass of the pod. The default of the
	// cluster if absent.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName is the name of the RuntimeClass of the pod. The default runtime of
	// the node if absent.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// imagePullSecrets are Secrets of type kubernetes.io/dockerconfigjson, in the namespace
	// of the type, for pulling the images of the pod. At most 8; those of the workers'
	// service account if absent.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	ImagePullSecrets []PullSecret `json:"imagePullSecrets,omitempty"`

	// volumes are volumes of the pod, added to those of the operator. At most 12; none if
	// absent.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	// +optional
	Volumes []Volume `json:"volumes,omitempty"`

	// volumeMounts are where the volumes are mounted in the worker's container. At most
	// 16, one per path; none if absent.
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +optional
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty"`

	// env are environment variables of the worker. At most 64. If absent, the operator sets
	// only HOME, to /tmp.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Env []EnvVar `json:"env,omitempty"`

	// securityContext is the user and the rights of the worker. The operator's
	// --pod-security limits it. If absent: user and group 65532, a read-only root file
	// system, no capabilities.
	// +optional
	SecurityContext SecurityContext `json:"securityContext,omitempty,omitzero"`
}

// LabelValue is the value of a label. The API server checks its form when the operator
// checks the type: see the condition Accepted, reason InvalidTemplate.
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// AnnotationValue is the value of an annotation.
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// PullSecret is a Secret with the credentials of registries.
type PullSecret struct {
	// name is the name of the Secret. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name,omitempty"`
}

// Volume is a volume of the pod. There is no kind of volume that gives access to the
// file system of the node.
// +kubebuilder:validation:ExactlyOneOf=emptyDir;configMap;secret;persistentVolumeClaim;image
type Volume struct {
	// name is the name by which volumeMounts refer to the volume. Required. process, tmp,
	// token and agent are reserved.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!(self in ['process', 'tmp', 'token', 'agent'])",message="the volume names process, tmp, token and agent are reserved"
	// +required
	Name string `json:"name,omitempty"`

	// emptyDir is an empty directory that is deleted with the pod. Not used if absent.
	// +optional
	EmptyDir *EmptyDirVolume `json:"emptyDir,omitempty"`

	// configMap has the keys of a ConfigMap as files. Not used if absent.
	// +optional
	ConfigMap ConfigMapVolume `json:"configMap,omitempty,omitzero"`

	// secret has the keys of a Secret as files. Not used if absent.
	// +optional
	Secret SecretVolume `json:"secret,omitempty,omitzero"`

	// persistentVolumeClaim is storage that remains after the pod. Not used if absent.
	// +optional
	PersistentVolumeClaim ClaimVolume `json:"persistentVolumeClaim,omitempty,omitzero"`

	// image has the files of a container image, read-only. The nodes must support image
	// volumes. Not used if absent.
	// +optional
	Image ImageVolume `json:"image,omitempty,omitzero"`
}

// EmptyDirVolume is an empty directory that is deleted with the pod.
type EmptyDirVolume struct {
	// medium is where the files are: Disk or Memory; Disk if absent. Memory counts against
	// the memory limit of the container.
	// +optional
	Medium VolumeMedium `json:"medium,omitempty"`

	// sizeLimit is the maximum size in bytes, a quantity such as 1Gi. Required. More than 0,
	// because 0 means no limit in Kubernetes. If the size is exceeded, a write fails if
	// medium is Memory, and the pod is evicted if medium is Disk.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="sizeLimit must be more than 0"
	// +required
	SizeLimit resource.Quantity `json:"sizeLimit,omitempty,omitzero"`
}

// VolumeMedium is where the files of an EmptyDirVolume are.
// +kubebuilder:validation:Enum=Disk;Memory
type VolumeMedium string

// The media of an EmptyDirVolume.
const (
	MediumDisk   VolumeMedium = "Disk"
	MediumMemory VolumeMedium = "Memory"
)

// ConfigMapVolume is a ConfigMap in the namespace of the type.
type ConfigMapVolume struct {
	// name is the name of the ConfigMap. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name,omitempty"`

	// items are the keys that become files, with the path of each. At most 32. If absent,
	// each key becomes a file with the name of the key.
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Items []KeyPath `json:"items,omitempty"`
}

// SecretVolume is a Secret in the namespace of the type.
type SecretVolume struct {
	// secretName is the name of the Secret. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	SecretName string `json:"secretName,omitempty"`

	// items are the keys that become files, with the path of each. At most 32. If absent,
	// each key becomes a file with the name of the key.
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Items []KeyPath `json:"items,omitempty"`
}

// KeyPath is a key and the file that it becomes.
type KeyPath struct {
	// key is the key in the ConfigMap or Secret. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Key string `json:"key,omitempty"`

	// path is the path of the file, relative to the mount. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	Path string `json:"path,omitempty"`
}

// ClaimVolume is a PersistentVolumeClaim in the namespace of the type.
type ClaimVolume struct {
	// claimName is the name of the claim. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	ClaimName string `json:"claimName,omitempty"`
}

// ImageVolume is a container image whose files are mounted.
type ImageVolume struct {
	// reference is the name of the image, as in a pod. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +required
	Reference string `json:"reference,omitempty"`

	// pullPolicy is when a node pulls the image: Always, IfNotPresent or Never. If
	// absent, as for imagePullPolicy of the type.
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`
}

// VolumeMount is where a volume is mounted.
type VolumeMount struct {
	// name is the name of the volume. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	Name string `json:"name,omitempty"`

	// mountPath is the absolute path of the directory, without "." and "..". Required. It
	// cannot be one of the reserved directories, nor inside one, nor contain one:
	// /process, /procman, /tmp, /var/run/procman, /dev, /proc and /sys. An emptyDir can
	// be mounted at /dev/shm.
	// +kubebuilder:validation:Pattern=`^(/[^/:[:cntrl:]]+)+$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="mountPath must not contain . or .."
	// +kubebuilder:validation:XValidation:rule="self == '/dev/shm' || !self.matches('^/((process|procman|tmp|dev|proc|sys|(var/)?run/procman)(/.*)?|var|(var/)?run)$')",message="mountPath must not be, be inside, or contain /process, /procman, /tmp, /var/run/procman, /dev, /proc or /sys; it can be /dev/shm"
	// +required
	MountPath string `json:"mountPath,omitempty"`

	// subPath is the path in the volume that is mounted. The whole volume if absent.
	// +kubebuilder:validation:Pattern=`^[^/]`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!('/' + self + '/').contains('/../')",message="subPath must not contain .."
	// +optional
	SubPath string `json:"subPath,omitempty"`

	// access is ReadOnly or ReadWrite; ReadWrite if absent.
	// +optional
	Access VolumeAccess `json:"access,omitempty"`
}

// VolumeAccess is what a worker can do with a volume.
// +kubebuilder:validation:Enum=ReadOnly;ReadWrite
type VolumeAccess string

// The ways to mount a volume.
const (
	AccessReadOnly  VolumeAccess = "ReadOnly"
	AccessReadWrite VolumeAccess = "ReadWrite"
)

// EnvVar is an environment variable.
// +kubebuilder:validation:XValidation:rule="!has(self.value) || !has(self.valueFrom)",message="a variable must not have both value and valueFrom"
type EnvVar struct {
	// name is the name of the variable. Required. Names that begin with PROCESS_ or
	// PROCMAN_ are reserved.
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z][-._a-zA-Z0-9]*$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('PROCESS_') && !self.startsWith('PROCMAN_')",message="names that begin with PROCESS_ or PROCMAN_ are reserved"
	// +required
	Name string `json:"name,omitempty"`

	// value is the value of the variable. $(NAME) is replaced with the value of an earlier
	// variable, and $$ with $. Empty if both value and valueFrom are absent.
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Value *string `json:"value,omitempty"`

	// valueFrom is where the value comes from. Not used if absent.
	// +optional
	ValueFrom EnvSource `json:"valueFrom,omitempty,omitzero"`
}

// EnvSource is where the value of a variable comes from.
// +kubebuilder:validation:ExactlyOneOf=secretKeyRef;configMapKeyRef
type EnvSource struct {
	// secretKeyRef is a key of a Secret in the namespace of the type. Not used if absent.
	// +optional
	SecretKeyRef KeyRef `json:"secretKeyRef,omitempty,omitzero"`

	// configMapKeyRef is a key of a ConfigMap in the namespace of the type. Not used if
	// absent.
	// +optional
	ConfigMapKeyRef KeyRef `json:"configMapKeyRef,omitempty,omitzero"`
}

// KeyRef is a key of a Secret or ConfigMap.
type KeyRef struct {
	// name is the name of the Secret or ConfigMap. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name,omitempty"`

	// key is the key in it. Required.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Key string `json:"key,omitempty"`
}

// SecurityContext is the user and the rights of the worker.
// +kubebuilder:validation:MinProperties=1
type SecurityContext struct {
	// runAsUser is the user ID of the worker. From 0 to 2147483647; 65532 if absent.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	RunAsUser *int64 `json:"runAsUser,omitempty"`

	// runAsGroup is the group ID of the worker. From 0 to 2147483647; 65532 if absent.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	RunAsGroup *int64 `json:"runAsGroup,omitempty"`

	// fsGroup is the group ID that the volumes get. From 0 to 2147483647; volumes keep
	// their group if absent.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	FSGroup *int64 `json:"fsGroup,omitempty"`

	// rootFilesystem is ReadOnly or Writable; ReadOnly if absent. Only a limit of
	// ephemeral-storage in resources limits what is written to it.
	// +optional
	RootFilesystem RootFilesystem `json:"rootFilesystem,omitempty"`

	// addCapabilities are Linux capabilities, such as NET_BIND_SERVICE. At most 16; none if
	// absent. All others are dropped.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +optional
	AddCapabilities []Capability `json:"addCapabilities,omitempty"`

	// privilegeEscalation is Forbidden or Allowed; Forbidden if absent. Set-user-ID programs
	// work only if it is Allowed.
	// +optional
	PrivilegeEscalation PrivilegeEscalation `json:"privilegeEscalation,omitempty"`
}

// Capability is a Linux capability without the prefix CAP_.
// +kubebuilder:validation:Pattern=`^[A-Z][A-Z_]*$`
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
type Capability string

// RootFilesystem is whether the worker can change the files of its image.
// +kubebuilder:validation:Enum=ReadOnly;Writable
type RootFilesystem string

// The kinds of root file system.
const (
	RootFilesystemReadOnly RootFilesystem = "ReadOnly"
	RootFilesystemWritable RootFilesystem = "Writable"
)

// PrivilegeEscalation is whether a process can get more rights than its parent.
// +kubebuilder:validation:Enum=Allowed;Forbidden
type PrivilegeEscalation string

// The values of PrivilegeEscalation.
const (
	PrivilegeEscalationAllowed   PrivilegeEscalation = "Allowed"
	PrivilegeEscalationForbidden PrivilegeEscalation = "Forbidden"
)
