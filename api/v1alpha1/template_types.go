package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// WorkerTemplate is the part of the worker's Job and pod that a type may shape.
// What is here means what it means in a pod. What is not here is the product's.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",message="every volumeMount names one of volumes"
type WorkerTemplate struct {
	// labels of the Job and of the pod, besides the product's own; 16 at most.
	// Keys of Kubernetes and of the product are refused; those for Kueue belong
	// on the type itself.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.kubernetes.io/'))",message="labels under kubernetes.io are refused"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('k8s.io/'))",message="labels under k8s.io are refused; those for Kueue belong on the type itself"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.procman.dev/'))",message="labels under procman.dev are the product's"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations of the Job and of the pod; 16 at most. Keys of Kubernetes and
	// of the product are refused.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.kubernetes.io/'))",message="annotations under kubernetes.io are refused"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('k8s.io/'))",message="annotations under k8s.io are refused"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !('.' + k).contains('.procman.dev/'))",message="annotations under procman.dev are the product's"
	// +optional
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// resources of the worker's container. When absent, the namespace's own
	// defaults apply.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`

	// nodeSelector are labels that a node has to have; 16 at most. Any node,
	// when absent.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +optional
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations are the taints of nodes that the pod puts up with; 16 at most.
	// None, when absent.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity says beside what the pod is, or is not, to run. Anywhere, when
	// absent.
	// +optional
	Affinity corev1.Affinity `json:"affinity,omitempty,omitzero"`

	// priorityClassName is the pod's PriorityClass. When absent, the cluster's
	// default.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName is the pod's RuntimeClass. When absent, the nodes' own
	// runtime.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// imagePullSecrets name Secrets of type kubernetes.io/dockerconfigjson, in
	// the type's namespace, with which the pod's images are pulled; 8 at most.
	// When absent, those of the workers' service account.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	ImagePullSecrets []PullSecret `json:"imagePullSecrets,omitempty"`

	// volumes of the pod; 12 at most. The product's own come besides.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	// +optional
	Volumes []Volume `json:"volumes,omitempty"`

	// volumeMounts are where volumes appear in the worker's container; 16 at
	// most, one for each path.
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +optional
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty"`

	// env are environment variables of the worker; 64 at most.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Env []EnvVar `json:"env,omitempty"`

	// securityContext says as whom and with which rights the worker runs. What
	// it may say is up to the operator's --pod-security. When absent, user and
	// group 65532, a read-only root file system, and no capabilities.
	// +optional
	SecurityContext SecurityContext `json:"securityContext,omitempty,omitzero"`
}

// LabelValue is the value of a label. Whether it is one is for the API server
// to say when the type is looked at.
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// AnnotationValue is the value of an annotation.
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// PullSecret names a Secret that holds a registry's credentials.
type PullSecret struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name,omitempty"`
}

// Volume is a directory that the pod brings along: of a kind that gives it
// nothing of its node.
// +kubebuilder:validation:ExactlyOneOf=emptyDir;configMap;secret;persistentVolumeClaim;image
type Volume struct {
	// name by which volumeMounts call it. process, tmp, token and agent are the
	// product's own.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!(self in ['process', 'tmp', 'token', 'agent'])",message="the volumes process, tmp, token and agent are the product's own"
	// +required
	Name string `json:"name,omitempty"`

	// emptyDir is a directory that lives as long as the pod.
	// +optional
	EmptyDir *EmptyDirVolume `json:"emptyDir,omitempty"`

	// configMap shows the keys of a ConfigMap as files.
	// +optional
	ConfigMap ConfigMapVolume `json:"configMap,omitempty,omitzero"`

	// secret shows the keys of a Secret as files.
	// +optional
	Secret SecretVolume `json:"secret,omitempty,omitzero"`

	// persistentVolumeClaim is storage that outlives the pod.
	// +optional
	PersistentVolumeClaim ClaimVolume `json:"persistentVolumeClaim,omitempty,omitzero"`

	// image shows the files of a container image, read-only. Needs nodes that
	// support image volumes.
	// +optional
	Image ImageVolume `json:"image,omitempty,omitzero"`
}

// EmptyDirVolume is a directory that lives as long as its pod.
type EmptyDirVolume struct {
	// medium is what it is made of: Disk, when absent, or Memory, which counts
	// against the container's memory limit.
	// +optional
	Medium VolumeMedium `json:"medium,omitempty"`

	// sizeLimit bounds it, as a quantity such as 1Gi. Beyond it, a directory of
	// Memory is full, and the pod of one of Disk is evicted. More than 0, which
	// Kubernetes takes for no bound.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="sizeLimit is more than 0"
	// +required
	SizeLimit resource.Quantity `json:"sizeLimit,omitempty,omitzero"`
}

// VolumeMedium is what a directory is made of.
// +kubebuilder:validation:Enum=Disk;Memory
type VolumeMedium string

// The media of an EmptyDirVolume.
const (
	MediumDisk   VolumeMedium = "Disk"
	MediumMemory VolumeMedium = "Memory"
)

// ConfigMapVolume shows a ConfigMap of the type's namespace.
type ConfigMapVolume struct {
	// name of the ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name,omitempty"`

	// items are the keys that are shown, and as which files. Each under its own
	// name, when absent.
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Items []KeyPath `json:"items,omitempty"`
}

// SecretVolume shows a Secret of the type's namespace.
type SecretVolume struct {
	// secretName is the name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	SecretName string `json:"secretName,omitempty"`

	// items are the keys that are shown, and as which files. Each under its own
	// name, when absent.
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Items []KeyPath `json:"items,omitempty"`
}

// KeyPath says as which file a key is shown.
type KeyPath struct {
	// key of the ConfigMap or Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Key string `json:"key,omitempty"`

	// path of the file, below the mount's own.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	Path string `json:"path,omitempty"`
}

// ClaimVolume is a PersistentVolumeClaim of the type's namespace.
type ClaimVolume struct {
	// claimName is the name of the claim.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	ClaimName string `json:"claimName,omitempty"`
}

// ImageVolume is a container image whose files are shown.
type ImageVolume struct {
	// reference of the image.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +required
	Reference string `json:"reference,omitempty"`
}

// VolumeMount is where a volume appears.
type VolumeMount struct {
	// name of the volume.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	Name string `json:"name,omitempty"`

	// mountPath is the directory, absolute and without "." and "..". It neither
	// is nor lies in one of the product's or the system's, nor holds one.
	// +kubebuilder:validation:Pattern=`^(/[^/:[:cntrl:]]+)+$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="mountPath has no . and .."
	// +kubebuilder:validation:XValidation:rule="!self.matches('^/((process|procman|tmp|dev|proc|sys|(var/)?run/procman)(/.*)?|var|(var/)?run)$')",message="mountPath must not be, or lie in, /process, /procman, /tmp, /var/run/procman, /dev, /proc or /sys, nor hold them"
	// +required
	MountPath string `json:"mountPath,omitempty"`

	// subPath is the part of the volume that is shown. All, when absent.
	// +kubebuilder:validation:Pattern=`^[^/]`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!('/' + self + '/').contains('/../')",message="subPath has no .."
	// +optional
	SubPath string `json:"subPath,omitempty"`

	// access is ReadWrite, when absent, or ReadOnly.
	// +optional
	Access VolumeAccess `json:"access,omitempty"`
}

// VolumeAccess is what a worker may do with a volume.
// +kubebuilder:validation:Enum=ReadOnly;ReadWrite
type VolumeAccess string

// The ways to mount a volume.
const (
	AccessReadOnly  VolumeAccess = "ReadOnly"
	AccessReadWrite VolumeAccess = "ReadWrite"
)

// EnvVar is an environment variable.
// +kubebuilder:validation:XValidation:rule="!has(self.value) || !has(self.valueFrom)",message="a variable has a value or a valueFrom, not both"
type EnvVar struct {
	// name of the variable. Those that begin with PROCESS_ or PROCMAN_ are the
	// product's own.
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z][-._a-zA-Z0-9]*$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('PROCESS_') && !self.startsWith('PROCMAN_')",message="variables that begin with PROCESS_ or PROCMAN_ are the product's own"
	// +required
	Name string `json:"name,omitempty"`

	// value of the variable. $(NAME) stands for the value of one before it, and
	// $$ for $. Empty, when absent and valueFrom is, too.
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Value *string `json:"value,omitempty"`

	// valueFrom says where the value is kept.
	// +optional
	ValueFrom EnvSource `json:"valueFrom,omitempty,omitzero"`
}

// EnvSource is where the value of a variable is kept.
// +kubebuilder:validation:ExactlyOneOf=secretKeyRef;configMapKeyRef
type EnvSource struct {
	// secretKeyRef is a key of a Secret in the type's namespace.
	// +optional
	SecretKeyRef KeyRef `json:"secretKeyRef,omitempty,omitzero"`

	// configMapKeyRef is a key of a ConfigMap in the type's namespace.
	// +optional
	ConfigMapKeyRef KeyRef `json:"configMapKeyRef,omitempty,omitzero"`
}

// KeyRef is a key of a Secret or ConfigMap.
type KeyRef struct {
	// name of the Secret or ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name,omitempty"`

	// key in it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Key string `json:"key,omitempty"`
}

// SecurityContext is as whom and with which rights the worker runs.
// +kubebuilder:validation:MinProperties=1
type SecurityContext struct {
	// runAsUser is the worker's user, 0 to 2147483647; 65532 when absent.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	RunAsUser *int64 `json:"runAsUser,omitempty"`

	// runAsGroup is the worker's group, 0 to 2147483647; 65532 when absent.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	RunAsGroup *int64 `json:"runAsGroup,omitempty"`

	// fsGroup is the group that volumes are given to, 0 to 2147483647. When
	// absent, they stay as they are.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	FSGroup *int64 `json:"fsGroup,omitempty"`

	// rootFilesystem is ReadOnly, when absent, or Writable: what is written to it
	// is bounded by the limit of ephemeral-storage in resources alone.
	// +optional
	RootFilesystem RootFilesystem `json:"rootFilesystem,omitempty"`

	// addCapabilities are Linux capabilities, such as NET_BIND_SERVICE; 16 at
	// most. None, when absent: all others are dropped.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +optional
	AddCapabilities []Capability `json:"addCapabilities,omitempty"`

	// privilegeEscalation is Forbidden, when absent, or Allowed, which lets
	// set-user-ID programs have their effect.
	// +optional
	PrivilegeEscalation PrivilegeEscalation `json:"privilegeEscalation,omitempty"`
}

// Capability is a Linux capability without its CAP_.
// +kubebuilder:validation:Pattern=`^[A-Z][A-Z_]*$`
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
type Capability string

// RootFilesystem says whether the worker may change what its image holds.
// +kubebuilder:validation:Enum=ReadOnly;Writable
type RootFilesystem string

// The kinds of root file system.
const (
	RootFilesystemReadOnly RootFilesystem = "ReadOnly"
	RootFilesystemWritable RootFilesystem = "Writable"
)

// PrivilegeEscalation says whether a process may get more rights than its parent.
// +kubebuilder:validation:Enum=Allowed;Forbidden
type PrivilegeEscalation string

// Whether privileges may grow.
const (
	PrivilegeEscalationAllowed   PrivilegeEscalation = "Allowed"
	PrivilegeEscalationForbidden PrivilegeEscalation = "Forbidden"
)
