// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AgentInjection is how the agent, which runs the worker's command, gets into the
// worker's container.
// +kubebuilder:validation:Enum=Embedded;ImageVolume;InitContainer
type AgentInjection string

const (
	// AgentEmbedded: the worker's image contains the agent at /procman/agent. Starts
	// fastest.
	AgentEmbedded AgentInjection = "Embedded"
	// AgentImageVolume: the agent's image is mounted as a volume. Needs a
	// cluster whose nodes support image volumes.
	AgentImageVolume AgentInjection = "ImageVolume"
	// AgentInitContainer: an init container copies the agent into the pod.
	// Works everywhere.
	AgentInitContainer AgentInjection = "InitContainer"
)

// ConditionReady reports whether processes of a type can be started now. It follows
// from the other two conditions. Tools such as kubectl wait and Flux look for it.
//
// True with reason Ready: the type is accepted, and it has a command or its image is
// resolved.
// False with reason NotAccepted: ConditionAccepted is False; the message is that of
// ConditionAccepted.
// False with reason ImageNotResolved: ConditionImageResolved is False; the message is
// that of ConditionImageResolved.
// Unknown with reason ImagePending: the operator is waiting for the registry of the image.
// Absent, or of an earlier generation: the operator has not checked the current spec.
const ConditionReady = "Ready"

// The reasons of ConditionReady.
const (
	ReasonReady            = "Ready"
	ReasonNotAccepted      = "NotAccepted"
	ReasonImageNotResolved = "ImageNotResolved"
	ReasonImagePending     = "ImagePending"
)

// ConditionAccepted reports whether a type is valid. Processes of a type that is not
// accepted end in error.
//
// True with reason Accepted: the type is valid.
// True with reason AliasTaken: the type is valid, but one of its aliases belongs to another
// type; the message has both. The name of a type has priority over aliases, and an older
// type has priority over a newer one.
// False with reason InvalidSchema: the message has the schema and the problem.
// False with reason LifetimeTooShort: a process could expire before its attempts are
// over; the message has the shortest lifetime that is allowed.
// False with reason PolicyViolation: the operator's --pod-security forbids something in
// the template; the message has the field and what is allowed.
// False with reason InvalidTemplate: the API server would refuse the Job of a process;
// the message is its answer.
// Absent, or of an earlier generation: the operator has not checked the current spec;
// processes wait.
const ConditionAccepted = "Accepted"

// The reasons of ConditionAccepted.
const (
	ReasonAccepted         = "Accepted"
	ReasonAliasTaken       = "AliasTaken"
	ReasonInvalidSchema    = "InvalidSchema"
	ReasonLifetimeTooShort = "LifetimeTooShort"
	ReasonPolicyViolation  = "PolicyViolation"
	ReasonInvalidTemplate  = "InvalidTemplate"
)

// ConditionImageResolved reports whether the operator knows what the image of a type
// without a command runs.
//
// True with reason Resolved: status.image is the image with its digest, and
// status.command is what processes run.
// False: the operator could not find out. It tries again, first after a second, later
// once a minute. Processes wait up to startTimeoutSeconds. The reasons:
// ImageNotFound: the registry does not have the image, or the name is invalid.
// Unauthorized: the registry refuses the credentials in the pull secrets.
// RegistryUnreachable: no answer, too many requests, or an invalid answer.
// NoEntrypoint: the image has neither an entrypoint nor a command.
// NoPullSecret: a pull secret does not exist or is invalid.
// Absent, or of an earlier generation: the operator has not asked the registry yet.
// Absent also if the type has a command: the image is then used as it is in the spec.
const ConditionImageResolved = "ImageResolved"

// The reasons of ConditionImageResolved.
const (
	ReasonResolved            = "Resolved"
	ReasonImageNotFound       = "ImageNotFound"
	ReasonUnauthorized        = "Unauthorized"
	ReasonRegistryUnreachable = "RegistryUnreachable"
	ReasonNoEntrypoint        = "NoEntrypoint"
	ReasonNoPullSecret        = "NoPullSecret"
)

// StderrVisibility is whether clients get the standard error of a worker.
// +kubebuilder:validation:Enum=Shown;Hidden
type StderrVisibility string

// The values of StderrVisibility.
const (
	// StderrShown: errorDetails of WorkerFailed have it, as the member stderr.
	StderrShown StderrVisibility = "Shown"
	// StderrHidden: only status.stderr of the Process has it.
	StderrHidden StderrVisibility = "Hidden"
)

// Limits are the maximum sizes of input, output and scratch space.
// +kubebuilder:validation:MinProperties=1
type Limits struct {
	// inputBytes is the maximum size of an input, in bytes of JSON text. From 2 to
	// 8388608 (8 MiB); 1048576 (1 MiB) if absent. A change applies to later inputs.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=8388608
	// +optional
	InputBytes int32 `json:"inputBytes,omitempty"`

	// outputBytes is the maximum size of an output, in bytes of JSON text. From 2 to
	// 8388608 (8 MiB); 1048576 (1 MiB) if absent. A change applies to later outputs.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=8388608
	// +optional
	OutputBytes int32 `json:"outputBytes,omitempty"`

	// scratchBytes is the maximum size, in bytes, of the files in /tmp of a worker. From
	// 1048576 (1 MiB) to 1099511627776 (1 TiB); 1073741824 (1 GiB) if absent. A pod
	// that exceeds it is evicted. A change applies to processes launched later.
	// +kubebuilder:validation:Minimum=1048576
	// +kubebuilder:validation:Maximum=1099511627776
	// +optional
	ScratchBytes int64 `json:"scratchBytes,omitempty"`
}

// ProcessTypeSpec is how processes of a type are run. All fields can be changed. If a
// field does not say otherwise, a change applies to processes launched later.
type ProcessTypeSpec struct {
	// description is one sentence for people about what the worker does. At most 1024
	// characters; none if absent.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Description string `json:"description,omitempty"`

	// aliases are other names for the type in the HTTP API, case-sensitive. At most 16,
	// each of at most 63 characters; none if absent. The name of a type overrides
	// aliases, and an older type overrides a younger one with the same alias.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$`
	// +optional
	Aliases []string `json:"aliases,omitempty"`

	// image is the container image of the worker. Required. At most 1024 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +required
	Image string `json:"image,omitempty"`

	// imagePullPolicy is when a node pulls the image: Always, IfNotPresent or Never. If
	// absent, as in Kubernetes: Always if the image has the tag latest or neither a tag
	// nor a digest, IfNotPresent otherwise.
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// command is the program of the worker and its first arguments. The agent runs it
	// without a shell. At most 64 words of at most 4096 characters. If absent, the
	// entrypoint of the image, which the operator reads from its registry: see the
	// condition ImageResolved.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	// +optional
	Command []string `json:"command,omitempty"`

	// args are appended to the command. At most 64 words of at most 4096 characters.
	// Without a command they replace the arguments of the image, as in a pod. If
	// absent, nothing is appended or replaced.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=0
	// +kubebuilder:validation:items:MaxLength=4096
	// +optional
	Args []string `json:"args,omitempty"`

	// agent is how the agent gets into the worker's container. The operator's
	// --agent-injection if absent.
	// +optional
	Agent AgentInjection `json:"agent,omitempty"`

	// inputSchema is the schema of the input: JSON Schema 2020-12, with CEL rules in
	// x-kubernetes-validations. At most 64 KiB. A $ref must refer to a part of the same
	// schema. A property that the schema does not describe is refused, unless it has
	// additionalProperties. Any JSON object is valid if absent.
	// +kubebuilder:validation:Type=object
	// +optional
	InputSchema *apiextensionsv1.JSON `json:"inputSchema,omitempty"`

	// outputSchema is the schema of the output, in the same form. An output that does
	// not match it, or has a property that it does not describe, ends the process in
	// error OutputInvalid. Any JSON object is valid if absent. A change applies to
	// later outputs.
	// +kubebuilder:validation:Type=object
	// +optional
	OutputSchema *apiextensionsv1.JSON `json:"outputSchema,omitempty"`

	// lifetimeSeconds is the lifetime, in seconds, of a process created over HTTP. From
	// 1 to 2592000 (30 days); 1200 (20 minutes) if absent. The type is not accepted if
	// this is less than timeoutSeconds for each of the attempts and the pauses between
	// them together. A change applies to processes created later.
	// +default=1200
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	// +optional
	LifetimeSeconds int32 `json:"lifetimeSeconds,omitempty"`

	// timeoutSeconds is how long, in seconds, one attempt of the worker can run. From 1
	// to 86400 (a day); 300 if absent.
	// +default=300
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	// +optional
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// startTimeoutSeconds is how long, in seconds, an attempt can take to pull its image and
	// to start, after a node has accepted its pod. The pod also waits this long for a node,
	// from when a pod with the same requirements was last scheduled. From 1 to 3600; 180 if
	// absent.
	// +default=180
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +optional
	StartTimeoutSeconds int32 `json:"startTimeoutSeconds,omitempty"`

	// attempts is how many times a worker that crashes is started. From 1 to 10; 3 if
	// absent. An error that the worker itself reports is final: there is no further
	// attempt.
	// +default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	// +optional
	Attempts int32 `json:"attempts,omitempty"`

	// backoffSeconds is the pause, in seconds, before the second attempt. It is doubled
	// before each further attempt, up to 3600. From 1 to 3600. Kubernetes has a pause
	// of its own, 10 seconds and doubled too; the longer of the two counts. During the
	// pause the pod of the next attempt already occupies its node. Only the pause of
	// Kubernetes if absent.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +optional
	BackoffSeconds int32 `json:"backoffSeconds,omitempty"`

	// stderr is whether clients get the last 2 KiB of the standard error of a worker
	// that crashed: Shown or Hidden; Hidden if absent. kubectl always shows them, in
	// status.stderr of the Process. A change applies to processes that end later.
	// +optional
	Stderr StderrVisibility `json:"stderr,omitempty"`

	// maxConcurrent is how many processes of the type can run at the same time. From 1
	// to 10000; no limit if absent. Further processes wait in a queue, the oldest
	// first. A change applies at once, but does not stop a running process.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +optional
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`

	// maxProcessing is how many processes of the type can be in state processing,
	// including those in the queue. From 1 to 1000000; no limit if absent. A POST above
	// it gets TooManyRequests; kubectl is not limited. A change applies at once.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	MaxProcessing int32 `json:"maxProcessing,omitempty"`

	// limits are the maximum sizes of input, output and /tmp. The defaults of its fields
	// if absent.
	// +optional
	Limits Limits `json:"limits,omitempty,omitzero"`

	// template is the part of the worker's Job and pod that a type can set. The
	// defaults of its fields if absent.
	// +optional
	Template WorkerTemplate `json:"template,omitempty,omitzero"`
}

// ProcessTypeStatus is what the operator found out about the type.
// +kubebuilder:validation:MinProperties=1
type ProcessTypeStatus struct {
	// conditions are Ready, Accepted and ImageResolved. Each one is about the spec of
	// its observedGeneration. Absent until the operator has checked the type.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// image is the image with its digest, name@sha256:..., as the registry had it when
	// the spec changed last. Processes run this image. Absent if the type has a
	// command, and until the image is resolved.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Image string `json:"image,omitempty"`

	// command is what processes of a type without a command run: the entrypoint of the
	// image, followed by args of the type or, if it has none, the arguments of the
	// image. Absent if the type has a command, and until the image is resolved.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=0
	// +kubebuilder:validation:items:MaxLength=32768
	// +optional
	Command []string `json:"command,omitempty"`

	// queued is how many processes of the type have no Job yet. Up to 5 seconds old.
	// Absent until it is first counted.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Queued *int32 `json:"queued,omitempty"`

	// running is how many processes of the type have a Job and are not terminal. Up to 5
	// seconds old. Absent until it is first counted.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Running *int32 `json:"running,omitempty"`

	// finished is how many processes of the type are complete or in error and are not
	// deleted. Up to 5 seconds old. Absent until it is first counted.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Finished *int32 `json:"finished,omitempty"`
}

// ProcessType registers a worker image. After one kubectl apply of a ProcessType,
// clients can POST to /v1/processes/NAME.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=processtypes,singular=processtype,shortName=ptype,categories=procman
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Queued",type=integer,JSONPath=`.status.queued`
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.status.running`
// +kubebuilder:printcolumn:name="Finished",type=integer,JSONPath=`.status.finished`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Aliases",type=string,priority=1,JSONPath=`.spec.aliases`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="the name of a ProcessType has at most 63 characters of a-z, 0-9 and -: it is part of URLs and labels"
type ProcessType struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is how processes of this type are run.
	// +required
	Spec ProcessTypeSpec `json:"spec,omitzero"`

	// status is what the operator found out about the type. The operator writes it.
	// +optional
	Status ProcessTypeStatus `json:"status,omitempty,omitzero"`
}

// ProcessTypeList is a list of ProcessTypes.
// +kubebuilder:object:root=true
type ProcessTypeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ProcessType `json:"items"`
}

// DefaultLimitBytes is the limit of input and output if the type has none: 1 MiB.
const DefaultLimitBytes int32 = 1 << 20

// DefaultScratchBytes is the limit of /tmp if the type has none: 1 GiB.
const DefaultScratchBytes int64 = 1 << 30

// MaxInputBytes returns the maximum size of an input of this type, in bytes.
func (t *ProcessType) MaxInputBytes() int {
	return int(cmp.Or(t.Spec.Limits.InputBytes, DefaultLimitBytes))
}

// MaxOutputBytes returns the maximum size of an output of this type, in bytes.
func (t *ProcessType) MaxOutputBytes() int {
	return int(cmp.Or(t.Spec.Limits.OutputBytes, DefaultLimitBytes))
}

// ScratchBytes returns the maximum size of /tmp of a worker of this type, in bytes.
func (t *ProcessType) ScratchBytes() int64 {
	return cmp.Or(t.Spec.Limits.ScratchBytes, DefaultScratchBytes)
}

// Verdict returns a condition of the type if it is about the current generation; nil if
// the operator has not written it for this generation.
func (t *ProcessType) Verdict(condition string) *metav1.Condition {
	c := meta.FindStatusCondition(t.Status.Conditions, condition)
	if c == nil || c.ObservedGeneration != t.Generation {
		return nil
	}
	return c
}
