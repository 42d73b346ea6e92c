// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Labels of Jobs and pods. The operator's caches select Jobs by LabelProcess and pods by
// LabelType, so the operator does not see objects without them.
const (
	// LabelProcess, on a Job, is the name of its Process. Pods do not have it: all pods
	// of a type are the same.
	LabelProcess = "procman.dev/process"
	// LabelType, on a Job and on its pods, is the name of the ProcessType.
	LabelType = "procman.dev/type"
)

// Annotations on a Job with settings of its type. They keep the values of the time when
// the Job was created: a later change of the type applies to later processes.
const (
	// AnnotationTimeoutSeconds holds the type's timeoutSeconds.
	AnnotationTimeoutSeconds = "procman.dev/timeout-seconds"
	// AnnotationStartTimeoutSeconds holds the type's startTimeoutSeconds.
	AnnotationStartTimeoutSeconds = "procman.dev/start-timeout-seconds"
	// AnnotationBackoffSeconds holds the type's backoffSeconds; absent when the type
	// has none.
	AnnotationBackoffSeconds = "procman.dev/backoff-seconds"
)

// LabelIdempotencyKey is on every Lease of an Idempotency-Key of the HTTP API. The
// holder of the Lease is the Process that was created with this key.
const LabelIdempotencyKey = "procman.dev/idempotency-key"

// AnnotationIdempotencyKey on a Process is the name of the Lease of its key.
const AnnotationIdempotencyKey = "procman.dev/idempotency-key"

// The labels with which Kueue (https://kueue.sigs.k8s.io) manages a Job. The operator
// copies them from a ProcessType to its Jobs.
const (
	// LabelKueueQueue names the LocalQueue that decides when a Job runs.
	LabelKueueQueue = "kueue.x-k8s.io/queue-name"
	// LabelKueuePriority names the WorkloadPriorityClass.
	LabelKueuePriority = "kueue.x-k8s.io/priority-class"
)
