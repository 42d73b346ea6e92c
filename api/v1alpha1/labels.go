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
