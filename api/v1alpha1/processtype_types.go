package v1alpha1

import (
	"cmp"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AgentDelivery is how the agent, which runs the worker's command, gets into
// the worker's container.
// +kubebuilder:validation:Enum=Embedded;ImageVolume;InitContainer
type AgentDelivery string

const (
	// AgentEmbedded: the worker image itself holds the agent at /procman/agent.
	// The fastest start.
	AgentEmbedded AgentDelivery = "Embedded"
	// AgentImageVolume: the agent's image is mounted as a volume. Needs a
	// cluster whose nodes support image volumes.
	AgentImageVolume AgentDelivery = "ImageVolume"
	// AgentInitContainer: an init container copies the agent into the pod.
	// Works everywhere.
	AgentInitContainer AgentDelivery = "InitContainer"
)

// ConditionAccepted says whether processes of a type can be started.
//
// True with reason Accepted: the type can be used.
// True with reason AliasTaken: likewise, but not by every alias: the message says
// which is another type's. A name goes before aliases, and of two types with one
// alias the older has it.
// False with reason InvalidSchema: the message says which schema and why.
// False with reason PolicyViolation: the type asks for more than the operator's
// --pod-security allows; the message says which field and what is allowed.
// False with reason InvalidTemplate: the API server would refuse the Job of its
// processes; the message is the server's.
// Absent, or of an earlier generation: the operator has not looked at the type as
// it is; processes wait for it.
const ConditionAccepted = "Accepted"

// The reasons of ConditionAccepted.
const (
	ReasonAccepted        = "Accepted"
	ReasonAliasTaken      = "AliasTaken"
	ReasonInvalidSchema   = "InvalidSchema"
	ReasonPolicyViolation = "PolicyViolation"
	ReasonInvalidTemplate = "InvalidTemplate"
)

// ConditionImageResolved says whether the command of a type that has none of its
// own is known from its image.
//
// True with reason Resolved: status.image is the image by its digest, and
// status.command is what its processes run.
// False: not yet; the operator tries again, ever more slowly, up to once a minute. Processes
// wait up to the type's startTimeoutSeconds. Reason ImageNotFound: the registry
// does not have it, or its name cannot be one. Unauthorized: the registry wants
// other credentials than the pull secrets hold. RegistryUnreachable: no answer,
// too many requests, or an answer that makes no sense. NoEntrypoint: the image
// names no program. NoPullSecret: a pull secret is not there or is of no use.
// Absent: the type has a command, and its image is used as it is written; or, of
// an earlier generation too, the operator has yet to ask the registry.
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

// Limits bound the size of what goes in and what comes out.
// +kubebuilder:validation:MinProperties=1
type Limits struct {
	// inputBytes is the largest input accepted, in bytes of JSON text. Between
	// 2 and 1048576 (1 MiB); 524288 (512 KiB) when absent.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1048576
	// +optional
	InputBytes int32 `json:"inputBytes,omitempty"`

	// outputBytes is the largest output accepted, in bytes of JSON text.
	// Between 2 and 1048576 (1 MiB); 524288 (512 KiB) when absent. Input and
	// output share one object, whose sum etcd bounds at about 1.5 MiB.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1048576
	// +optional
	OutputBytes int32 `json:"outputBytes,omitempty"`

	// scratchBytes bounds what the worker may keep in /tmp, from 1048576 (1 MiB)
	// to 1099511627776 (1 TiB); 1073741824 (1 GiB) when absent. The pod of a
	// worker that exceeds it is evicted.
	// +kubebuilder:validation:Minimum=1048576
	// +kubebuilder:validation:Maximum=1099511627776
	// +optional
	ScratchBytes int64 `json:"scratchBytes,omitempty"`
}

// ProcessTypeSpec says how processes of a type are run.
type ProcessTypeSpec struct {
	// description says in a sentence what the worker does, for people.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Description string `json:"description,omitempty"`

	// aliases are other names that HTTP clients may call the type by,
	// case-sensitive. Unique in the namespace, among names and aliases.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$`
	// +optional
	Aliases []string `json:"aliases,omitempty"`

	// image is the worker's container image.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +required
	Image string `json:"image,omitempty"`

	// command is the worker's program and its first arguments, run by the agent
	// without a shell. When absent, the image's own entrypoint, which the
	// operator reads from the image's registry; see ConditionImageResolved.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	// +optional
	Command []string `json:"command,omitempty"`

	// args follow the command. Beside the image's own entrypoint they replace
	// the image's own arguments, as in a pod.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=0
	// +kubebuilder:validation:items:MaxLength=4096
	// +optional
	Args []string `json:"args,omitempty"`

	// agent is how the agent gets into the worker's container. When absent, the
	// operator's --agent-delivery.
	// +optional
	Agent AgentDelivery `json:"agent,omitempty"`

	// inputSchema is the OpenAPI v3 schema of the input, structural and with
	// CEL rules as in a CustomResourceDefinition. A property it does not name
	// is refused. When absent, any JSON object is accepted.
	// +kubebuilder:validation:Type=object
	// +optional
	InputSchema *apiextensionsv1.JSON `json:"inputSchema,omitempty"`

	// outputSchema is the schema of the output, likewise. An output that is not
	// as it says, or has a property it does not name, ends the process in error
	// OutputInvalid. When absent, the output may be any JSON object.
	// +kubebuilder:validation:Type=object
	// +optional
	OutputSchema *apiextensionsv1.JSON `json:"outputSchema,omitempty"`

	// lifetimeSeconds is how long after creation a process made over HTTP
	// expires. Between 1 and 2592000 (30 days); 1200 when absent.
	// +default=1200
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	// +optional
	LifetimeSeconds int32 `json:"lifetimeSeconds,omitempty"`

	// timeoutSeconds is how long one attempt of the worker may run, from 1 to
	// 86400 (a day); 300 when absent.
	// +default=300
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	// +optional
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// startTimeoutSeconds is how long an attempt may take to be scheduled, to
	// pull its image and to start, from 1 to 3600; 180 when absent.
	// +default=180
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +optional
	StartTimeoutSeconds int32 `json:"startTimeoutSeconds,omitempty"`

	// attempts is how often the worker is started at most when it crashes, from
	// 1 to 10; 3 when absent. An error that the worker itself declares is final
	// at once.
	// +default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	// +optional
	Attempts int32 `json:"attempts,omitempty"`

	// backoffSeconds is the pause before a second attempt of a worker that
	// crashed, from 1 to 3600; doubled before each further one, to 3600 at most.
	// Kubernetes itself makes one of 10 s, doubled likewise, and the longer of the
	// two holds. The pod of the next attempt keeps its place on its node meanwhile.
	// Kubernetes' own alone when absent. A change is for later processes.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +optional
	BackoffSeconds int32 `json:"backoffSeconds,omitempty"`

	// maxConcurrent is how many processes of the type are under way at most, from
	// 1 to 10000; those beyond it wait their turn, the oldest first. Any number
	// when absent. A change holds at once, and ends nothing that runs.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +optional
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`

	// maxProcessing is how many processes of the type may be in state processing,
	// those that wait among them, from 1 to 1000000: a POST beyond is told
	// TooManyRequests. Any number when absent. It does not bind kubectl.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	MaxProcessing int32 `json:"maxProcessing,omitempty"`

	// limits bound the sizes of input and output.
	// +optional
	Limits Limits `json:"limits,omitempty,omitzero"`

	// template is the part of the worker's pod that is the type's to shape.
	// +optional
	Template WorkerTemplate `json:"template,omitempty,omitzero"`
}

// ProcessTypeStatus is what the operator found about the type.
// +kubebuilder:validation:MinProperties=1
type ProcessTypeStatus struct {
	// conditions of the type; see ConditionAccepted and ConditionImageResolved.
	// The observedGeneration of each is that of the spec it is about.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// image is the image by its digest, name@sha256:..., as the registry had it
	// when the spec last changed; processes run this one. Absent when the type
	// has a command: then its image is used as it is written.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Image string `json:"image,omitempty"`

	// command is what processes run when the type has no command of its own: the
	// image's entrypoint, and the type's args or else the image's arguments.
	// Absent when the type has a command.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=0
	// +kubebuilder:validation:items:MaxLength=32768
	// +optional
	Command []string `json:"command,omitempty"`

	// queued is how many processes of the type, of those there are now, have yet
	// to be started. Some seconds behind.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Queued *int32 `json:"queued,omitempty"`

	// running is how many of them have a Job and are not finished. Likewise.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Running *int32 `json:"running,omitempty"`

	// finished is how many of them are complete or in error, and have not
	// expired. Likewise.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Finished *int32 `json:"finished,omitempty"`
}

// ProcessType registers a worker image: one kubectl apply makes
// POST /v1/processes/{its name} work.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=processtypes,singular=processtype,shortName=ptype,categories=procman
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Queued",type=integer,JSONPath=`.status.queued`
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.status.running`
// +kubebuilder:printcolumn:name="Finished",type=integer,JSONPath=`.status.finished`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Aliases",type=string,priority=1,JSONPath=`.spec.aliases`
// +kubebuilder:printcolumn:name="Resolved",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="ImageResolved")].reason`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="the name of a ProcessType has at most 63 characters of a-z, 0-9 and -: it is part of URLs and labels"
type ProcessType struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how processes of this type are run. Changing it applies to
	// processes that are started afterwards.
	// +required
	Spec ProcessTypeSpec `json:"spec,omitzero"`

	// status is what the operator found.
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

// DefaultLimitBytes bounds input and output where a type does not: 512 KiB.
const DefaultLimitBytes int32 = 512 << 10

// DefaultScratchBytes bounds /tmp where a type does not: 1 GiB.
const DefaultScratchBytes int64 = 1 << 30

// MaxInputBytes is the size of the largest input of this type, in bytes.
func (t *ProcessType) MaxInputBytes() int {
	return int(cmp.Or(t.Spec.Limits.InputBytes, DefaultLimitBytes))
}

// MaxOutputBytes is the size of the largest output of this type, in bytes.
func (t *ProcessType) MaxOutputBytes() int {
	return int(cmp.Or(t.Spec.Limits.OutputBytes, DefaultLimitBytes))
}

// ScratchBytes is the size that /tmp of a worker of this type may have.
func (t *ProcessType) ScratchBytes() int64 {
	return cmp.Or(t.Spec.Limits.ScratchBytes, DefaultScratchBytes)
}

// Verdict is what the operator says about the type as it is now in a condition;
// nil when it has yet to look.
func (t *ProcessType) Verdict(condition string) *metav1.Condition {
	c := meta.FindStatusCondition(t.Status.Conditions, condition)
	if c == nil || c.ObservedGeneration != t.Generation {
		return nil
	}
	return c
}
