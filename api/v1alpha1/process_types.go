package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// State is where a Process stands, in the words of the HTTP contract.
// +kubebuilder:validation:Enum=processing;complete;error
type State string

// The states of a Process. It starts in StateProcessing, moves once, and then
// never changes again.
const (
	// StateProcessing: accepted; the worker has yet to run or to finish.
	StateProcessing State = "processing"
	// StateComplete: the worker delivered an output.
	StateComplete State = "complete"
	// StateError: the worker refused or failed, or could not be run.
	StateError State = "error"
)

// ConditionFinished says whether a Process has reached its terminal state.
//
// True with reason Complete: status.output holds the worker's output.
// True with the process's errorCode as reason: the process ended in error, and
// the message says in words what happened.
// Absent: the process is still processing.
const ConditionFinished = "Finished"

// ConditionLaunched says whether a Process has got its Job.
//
// False with reason Refused: the cluster refuses to create the Job, and the
// message says why; it is tried again until the type's startTimeoutSeconds are
// over, counted from the condition's last transition.
// Absent: there is nothing to say, which is the rule.
const ConditionLaunched = "Launched"

// ReasonRefused is the reason of ConditionLaunched.
const ReasonRefused = "Refused"

// DefaultLifetimeSeconds is how long a Process lives when neither it nor its
// type says so: 20 minutes.
const DefaultLifetimeSeconds int32 = 1200

// ProcessSpec is the work asked for. It is immutable: another input is another
// Process.
type ProcessSpec struct {
	// type names the ProcessType, in the same namespace, whose worker handles
	// this process. Its object name, not an alias.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	Type string `json:"type,omitempty"`

	// lifetimeSeconds is how long after its creation the process expires and is
	// deleted, finished or not. Between 1 and 2592000 (30 days), 1200 when
	// absent.
	// +default=1200
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	// +optional
	LifetimeSeconds int32 `json:"lifetimeSeconds,omitempty"`

	// input is the worker's input: the text of one JSON object. It reaches the
	// worker byte for byte, so it is kept as text, not as an object. At most
	// 1 MiB; "{}" when absent.
	// +default="{}"
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1048576
	// +optional
	Input string `json:"input,omitempty"`
}

// ProcessStatus is what became of the work. The operator alone writes it, and
// nothing in it changes once state is terminal.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.state) || oldSelf.state == 'processing' || self == oldSelf",message="a finished process does not change"
// +kubebuilder:validation:XValidation:rule="!has(self.state) || self.state != 'complete' || has(self.output)",message="a complete process has an output"
// +kubebuilder:validation:XValidation:rule="!has(self.state) || self.state != 'error' || has(self.errorCode)",message="a process in error has an errorCode"
// +kubebuilder:validation:MinProperties=1
type ProcessStatus struct {
	// state is processing, complete or error. processing when absent.
	// +default="processing"
	// +optional
	State State `json:"state,omitempty"`

	// output is what the worker returned: the text of one JSON object, byte for
	// byte as the worker wrote it. Present exactly when state is complete.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1048576
	// +optional
	Output string `json:"output,omitempty"`

	// errorCode is one word that says what went wrong: the worker's own, or one
	// of the platform's. Present exactly when state is error.
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9]{0,62}$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ErrorCode string `json:"errorCode,omitempty"`

	// errorDetails is the text of one JSON object with what a person needs to
	// act on the error. Absent when there is nothing to add.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	ErrorDetails string `json:"errorDetails,omitempty"`

	// queuePosition is the process's place in line, from 1, while it waits because
	// maxConcurrent of its type are under way. Brought up to date every few
	// seconds: exact for the first 20 in line, within a tenth for those behind.
	// Absent when it does not wait, or has only just begun to.
	// +kubebuilder:validation:Minimum=1
	// +optional
	QueuePosition int32 `json:"queuePosition,omitempty"`

	// percentComplete is the worker's own last report of its progress, 0 to
	// 100. Absent when the worker reports none.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	PercentComplete *int32 `json:"percentComplete,omitempty"`

	// attempts is how many times the worker was started. Absent while
	// processing, and when no worker ever started.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Attempts *int32 `json:"attempts,omitempty"`

	// startTime is when the attempt that gave the result started.
	// +optional
	StartTime metav1.Time `json:"startTime,omitempty,omitzero"`

	// completionTime is when state became terminal.
	// +optional
	CompletionTime metav1.Time `json:"completionTime,omitempty,omitzero"`

	// expirationTime is when the process expires and is deleted: its creation
	// plus spec.lifetimeSeconds. Written together with the terminal state, for
	// people who read it; the operator always computes it anew.
	// +optional
	ExpirationTime metav1.Time `json:"expirationTime,omitempty,omitzero"`

	// jobName is the Job that ran the worker, in the same namespace. Absent
	// when none was started.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	JobName string `json:"jobName,omitempty"`

	// conditions of the process; see ConditionFinished and ConditionLaunched.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Process is one piece of work for a worker image.
//
//	             ┌── output delivered ──> complete ──┐
//	processing ──┤                                   ├── lifetime over ──> deleted
//	     │       └── refused or failed ──> error ────┘                       ^
//	     └───────────────────── lifetime over ──────────────────────────────┘
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=processes,singular=process,shortName=proc,categories=procman
// +kubebuilder:selectablefield:JSONPath=`.spec.type`
// +kubebuilder:selectablefield:JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Queue",type=integer,JSONPath=`.status.queuePosition`
// +kubebuilder:printcolumn:name="Error",type=string,JSONPath=`.status.errorCode`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Expires",type=string,format=date-time,JSONPath=`.status.expirationTime`
// +kubebuilder:printcolumn:name="Attempts",type=integer,priority=1,JSONPath=`.status.attempts`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="the name of a Process has at most 63 characters of a-z, 0-9 and -: its Job and pods carry it as a label"
type Process struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the work asked for. Immutable.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable: create another Process instead"
	// +required
	Spec ProcessSpec `json:"spec,omitzero"`

	// status is what became of it.
	// +default={"state":"processing"}
	// +optional
	Status ProcessStatus `json:"status,omitzero"`
}

// ProcessList is a list of Processes.
// +kubebuilder:object:root=true
type ProcessList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Process `json:"items"`
}

// ExpirationTime is the instant at which the process expires: its creation by
// the API server's clock, which has whole seconds, plus its lifetime.
func (p *Process) ExpirationTime() time.Time {
	lifetime := p.Spec.LifetimeSeconds
	if lifetime == 0 {
		lifetime = DefaultLifetimeSeconds
	}
	return p.CreationTimestamp.Add(time.Duration(lifetime) * time.Second).UTC()
}

// Expired says whether the process's lifetime is over at now. It is over from
// the very second of ExpirationTime on (CONTRACT.md, section 1, GET, 410).
func (p *Process) Expired(now time.Time) bool {
	return !now.Before(p.ExpirationTime())
}

// Finished says whether the process is in a terminal state.
func (p *Process) Finished() bool {
	return p.Status.State == StateComplete || p.Status.State == StateError
}
