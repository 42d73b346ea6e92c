// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// State is the state of a Process, as in the HTTP API.
// +kubebuilder:validation:Enum=processing;complete;error
type State string

// The states of a Process. It begins in StateProcessing and changes only once, to one
// of the other two.
const (
	// StateProcessing: the worker has not run or not finished yet.
	StateProcessing State = "processing"
	// StateComplete: the worker delivered an output.
	StateComplete State = "complete"
	// StateError: the worker refused the input or failed, or could not be run.
	StateError State = "error"
)

// ConditionFinished reports that the state of a Process is terminal. Once it is True,
// it cannot change.
//
// True with reason Complete: status.output is the output of the worker.
// True with the errorCode as reason: the process ended in error. The message
// describes what happened.
// Absent: the state is processing.
const ConditionFinished = "Finished"

// ConditionLaunched reports why there is no Job yet.
//
// False with reason Queued: the process waits for a slot of maxConcurrent, or for a place in
// the launch window, since the last transition of the condition. It is written after a second or two, and removed within
// ten seconds after the creation of the Job.
// False with reason Refused: the cluster refuses to create the Job. The message is
// its answer. The operator tries again until startTimeoutSeconds of the type have
// passed since the last transition of the condition.
// Absent: there is a Job, or the operator is about to create it.
const ConditionLaunched = "Launched"

// The reasons of ConditionLaunched.
const (
	ReasonQueued  = "Queued"
	ReasonRefused = "Refused"
)

// DefaultLifetimeSeconds is the lifetime of a Process if neither the Process nor its
// type has one: 20 minutes.
const DefaultLifetimeSeconds int32 = 1200

// ProcessSpec is the requested work. It is immutable: for another input, create
// another Process.
// +kubebuilder:validation:XValidation:rule="!has(self.input) || !has(self.storedInput)",message="input and storedInput exclude each other"
type ProcessSpec struct {
	// type is the object name, not an alias, of the ProcessType in the same
	// namespace whose worker handles this process. Required. Immutable.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	Type string `json:"type,omitempty"`

	// lifetimeSeconds is the time, in seconds after its creation, after which the
	// process expires and is deleted, terminal or not. From 1 to 2592000 (30 days);
	// 1200 (20 minutes) if absent. Immutable.
	// +default=1200
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	// +optional
	LifetimeSeconds int32 `json:"lifetimeSeconds,omitempty"`

	// input is the input of the worker: the text of one JSON object. It is text and
	// not an object because the worker gets it byte for byte. At most 262144
	// characters. If input and storedInput are absent, the input is "{}". Immutable.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	Input string `json:"input,omitempty"`

	// storedInput is where the input is in the object store. The facade writes it, for an
	// input of more than 16 KiB. Absent if the input is in the field input. Immutable.
	// +optional
	StoredInput StoredPayload `json:"storedInput,omitempty,omitzero"`

	// labels are the client's own references to the process, such as invoice: "17". They
	// are not the labels of Kubernetes: a value can be any text of up to 256 characters. A
	// name has up to 64 characters. At most 16; none if absent. Immutable.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) <= 64 && size(self[name]) <= 256)",message="the name of a label has at most 64 characters, its value at most 256"
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// StoredPayload is a payload in the object store. Its key there is
// processes/NAMESPACE/NAME/ID, with the namespace and the name of its Process.
type StoredPayload struct {
	// id is the last part of the key: random, and another one for each write. Required.
	// +kubebuilder:validation:Pattern=`^[a-z2-7]{26}$`
	// +kubebuilder:validation:MinLength=26
	// +kubebuilder:validation:MaxLength=26
	// +required
	ID string `json:"id,omitempty"`

	// bytes is the size of the payload in bytes. From 2 to 8388608 (8 MiB). Required.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=8388608
	// +required
	Bytes int32 `json:"bytes,omitempty"`

	// sha256 is the SHA-256 of the payload in hexadecimal digits. Required.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +required
	SHA256 string `json:"sha256,omitempty"`
}

// IsZero reports whether there is no such payload.
func (s StoredPayload) IsZero() bool { return s == StoredPayload{} }

// ProcessStatus is the progress and the result of the work. Only the operator writes
// it. Once state is terminal, only conditions can change, and of these not Finished.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.state) || oldSelf.state == 'processing' || (has(self.state) && self.state == oldSelf.state && has(self.output) == has(oldSelf.output) && (!has(self.output) || self.output == oldSelf.output) && has(self.storedOutput) == has(oldSelf.storedOutput) && (!has(self.storedOutput) || self.storedOutput == oldSelf.storedOutput) && has(self.errorCode) == has(oldSelf.errorCode) && (!has(self.errorCode) || self.errorCode == oldSelf.errorCode) && has(self.errorDetails) == has(oldSelf.errorDetails) && (!has(self.errorDetails) || self.errorDetails == oldSelf.errorDetails) && has(self.stderr) == has(oldSelf.stderr) && (!has(self.stderr) || self.stderr == oldSelf.stderr) && has(self.percentComplete) == has(oldSelf.percentComplete) && (!has(self.percentComplete) || self.percentComplete == oldSelf.percentComplete) && has(self.attempts) == has(oldSelf.attempts) && (!has(self.attempts) || self.attempts == oldSelf.attempts) && has(self.startTime) == has(oldSelf.startTime) && (!has(self.startTime) || self.startTime == oldSelf.startTime) && has(self.completionTime) == has(oldSelf.completionTime) && (!has(self.completionTime) || self.completionTime == oldSelf.completionTime) && has(self.expirationTime) == has(oldSelf.expirationTime) && (!has(self.expirationTime) || self.expirationTime == oldSelf.expirationTime) && has(self.jobName) == has(oldSelf.jobName) && (!has(self.jobName) || self.jobName == oldSelf.jobName))",message="the result of a finished process cannot change"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.conditions) || oldSelf.conditions.all(c, c.type != 'Finished' || c.status != 'True' || (has(self.conditions) && c in self.conditions))",message="the condition Finished cannot change once it is True"
// +kubebuilder:validation:XValidation:rule="!has(self.state) || self.state != 'complete' || has(self.output) || has(self.storedOutput)",message="a complete process has an output"
// +kubebuilder:validation:XValidation:rule="!has(self.output) || !has(self.storedOutput)",message="output and storedOutput exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.state) || self.state != 'error' || has(self.errorCode)",message="a process in error has an errorCode"
// +kubebuilder:validation:MinProperties=1
type ProcessStatus struct {
	// state is processing, complete or error; processing if absent. It changes once,
	// from processing to one of the others.
	// +default="processing"
	// +optional
	State State `json:"state,omitempty"`

	// output is the output of the worker: the text of one JSON object, byte for byte
	// as the worker wrote it. Present if state is complete and the output has at most
	// 16 KiB, absent otherwise.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	Output string `json:"output,omitempty"`

	// storedOutput is where the output is in the object store. Present if state is
	// complete and the output has more than 16 KiB, absent otherwise.
	// +optional
	StoredOutput StoredPayload `json:"storedOutput,omitempty,omitzero"`

	// errorCode is one word for the error: a code of the worker's own, or one of the
	// platform. Present if state is error, absent otherwise.
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9]{0,62}$`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ErrorCode string `json:"errorCode,omitempty"`

	// errorDetails is the text of one JSON object with what a person needs to act on
	// the error. Absent if the code alone is enough.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	ErrorDetails string `json:"errorDetails,omitempty"`

	// stderr is the end of what the worker wrote to standard error, at most 2 KiB, if it
	// crashed in its last attempt. Clients do not get it, unless the type has stderr:
	// Shown. Absent if the worker wrote nothing, or did not crash.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Stderr string `json:"stderr,omitempty"`

	// percentComplete is the progress that the worker reported last, from 0 to 100.
	// Absent if it has reported none.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	PercentComplete *int32 `json:"percentComplete,omitempty"`

	// attempts is how many times the worker was started. Absent while state is
	// processing, and if no worker was started.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Attempts *int32 `json:"attempts,omitempty"`

	// startTime is when the newest attempt started, which is when its agent got the
	// input. Absent if no attempt has started.
	// +optional
	StartTime metav1.Time `json:"startTime,omitempty,omitzero"`

	// completionTime is when state became terminal. Absent while it is processing.
	// +optional
	CompletionTime metav1.Time `json:"completionTime,omitempty,omitzero"`

	// expirationTime is when the process expires and is deleted: its creation time
	// plus spec.lifetimeSeconds. It is for people; the operator does not read it.
	// Absent while state is processing.
	// +optional
	ExpirationTime metav1.Time `json:"expirationTime,omitempty,omitzero"`

	// jobName is the name of the Job that ran the worker, in the same namespace.
	// Absent while state is processing, and if there was no Job.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	JobName string `json:"jobName,omitempty"`

	// conditions are Finished and, while there is no Job although there could be one,
	// Launched. Others can be added, also to a terminal process. At most 8. Absent if
	// there are none.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Process is one piece of work for the worker of a process type.
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
// +kubebuilder:printcolumn:name="Waiting",type=string,JSONPath=`.status.conditions[?(@.type=="Launched")].reason`
// +kubebuilder:printcolumn:name="Error",type=string,JSONPath=`.status.errorCode`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Expires",type=string,format=date-time,JSONPath=`.status.expirationTime`
// +kubebuilder:printcolumn:name="Attempts",type=integer,priority=1,JSONPath=`.status.attempts`
// +kubebuilder:printcolumn:name="Stored input",type=integer,priority=1,JSONPath=`.spec.storedInput.bytes`,description="The size of the input in bytes, if it is in the object store."
// +kubebuilder:printcolumn:name="Stored output",type=integer,priority=1,JSONPath=`.status.storedOutput.bytes`,description="The size of the output in bytes, if it is in the object store."
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="the name of a Process has at most 63 characters of a-z, 0-9 and -: its Job and pods carry it as a label"
type Process struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the requested work. Immutable.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable: create another Process instead"
	// +required
	Spec ProcessSpec `json:"spec,omitzero"`

	// status is the progress and the result of the work. The operator writes it.
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

// ExpirationTime returns when the process expires: its creation time by the clock of
// the API server, in whole seconds, plus its lifetime.
func (p *Process) ExpirationTime() time.Time {
	lifetime := cmp.Or(p.Spec.LifetimeSeconds, DefaultLifetimeSeconds)
	return p.CreationTimestamp.Add(time.Duration(lifetime) * time.Second).UTC()
}

// Expired reports whether the process has expired at the time now: from ExpirationTime
// on, inclusive (docs/contract.md, section 1, GET, 410).
func (p *Process) Expired(now time.Time) bool {
	return !now.Before(p.ExpirationTime())
}

// Finished reports whether the state of the process is terminal.
func (p *Process) Finished() bool {
	return p.Status.State == StateComplete || p.Status.State == StateError
}
