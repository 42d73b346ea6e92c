package v1alpha1

// Labels on the Jobs and pods of a Process. The operator's caches select by
// LabelProcess, so an object without it is never looked at.
const (
	// LabelProcess holds the name of the Process that a Job or pod works for.
	LabelProcess = "procman.dev/process"
	// LabelType holds the name of the ProcessType.
	LabelType = "procman.dev/type"
)

// AnnotationStartTimeoutSeconds on a Job keeps the type's startTimeoutSeconds
// as it was when the Job was made: a later change of the type is for later
// processes.
const AnnotationStartTimeoutSeconds = "procman.dev/start-timeout-seconds"

// AnnotationBackoffSeconds on a Job keeps the type's backoffSeconds likewise;
// absent when the type had none.
const AnnotationBackoffSeconds = "procman.dev/backoff-seconds"

// LabelIdempotencyKey is on every Lease that stands for an Idempotency-Key of
// the HTTP API. The holder of the Lease is the Process that the key stands for.
const LabelIdempotencyKey = "procman.dev/idempotency-key"

// AnnotationIdempotencyKey on a Process names the Lease of the key that it was
// made with.
const AnnotationIdempotencyKey = "procman.dev/idempotency-key"

// The labels by which Kueue (https://kueue.sigs.k8s.io) manages a Job. On a
// ProcessType they are handed on to its Jobs.
const (
	// LabelKueueQueue names the LocalQueue that decides when a Job runs.
	LabelKueueQueue = "kueue.x-k8s.io/queue-name"
	// LabelKueuePriority names the WorkloadPriorityClass.
	LabelKueuePriority = "kueue.x-k8s.io/priority-class"
)
