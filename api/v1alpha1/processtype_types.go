package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
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
// True with reason Accepted: the schemas compile and the type can be used.
// True with reason AliasTaken: likewise, but not by every alias: the message says
// which is another type's. A name goes before aliases, and of two types with one
// alias the older has it.
// False with reason InvalidSchema: the message says which schema and why.
// Absent: the operator has not looked at the type yet.
const ConditionAccepted = "Accepted"

// The reasons of ConditionAccepted.
const (
	ReasonAccepted      = "Accepted"
	ReasonAliasTaken    = "AliasTaken"
	ReasonInvalidSchema = "InvalidSchema"
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
}

// WorkerTemplate is the part of the worker's pod that a type may shape.
// +kubebuilder:validation:MinProperties=1
type WorkerTemplate struct {
	// resources of the worker's container. When absent, the namespace's own
	// defaults apply.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`
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

	// command is the worker's program and its arguments, run by the agent
	// without a shell.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	// +required
	Command []string `json:"command,omitempty"`

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

	// maxConcurrent is how many processes of the type are under way at most, from
	// 1 to 10000; those beyond it wait their turn, the oldest first. Any number
	// when absent. A change holds at once, and ends nothing that runs.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +optional
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`

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
	// conditions of the type; see ConditionAccepted.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ProcessType registers a worker image: one kubectl apply makes
// POST /v1/processes/{its name} work.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=processtypes,singular=processtype,shortName=ptype,categories=procman
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Aliases",type=string,JSONPath=`.spec.aliases`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
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

// MaxInputBytes is the size of the largest input of this type, in bytes.
func (t *ProcessType) MaxInputBytes() int {
	return int(orDefault(t.Spec.Limits.InputBytes, DefaultLimitBytes))
}

// MaxOutputBytes is the size of the largest output of this type, in bytes.
func (t *ProcessType) MaxOutputBytes() int {
	return int(orDefault(t.Spec.Limits.OutputBytes, DefaultLimitBytes))
}

func orDefault(v, otherwise int32) int32 {
	if v == 0 {
		return otherwise
	}
	return v
}
