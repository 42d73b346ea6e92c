// Package errorcode names every errorCode that the product itself gives out,
// over HTTP and in a Process's status (CONTRACT.md, sections 1 and 2). Workers
// declare codes of their own beside these.
package errorcode

import "regexp"

// What is wrong with a request, and with the input of a Process made with
// kubectl.
const (
	MissingInput         = "MissingInput"
	InvalidInput         = "InvalidInput"
	UnrecognizedInput    = "UnrecognizedInput"
	InputTooLarge        = "InputTooLarge"
	UnsupportedMediaType = "UnsupportedMediaType"
	MethodNotAllowed     = "MethodNotAllowed"
	IdempotencyKeyReused = "IdempotencyKeyReused"
	TooManyRequests      = "TooManyRequests"
	ResourceNotFound     = "ResourceNotFound"
	ResourceExpired      = "ResourceExpired"
	InternalError        = "InternalError"
)

// How a worker can end other than well.
const (
	// OutputMissing: exit 0 without an output file.
	OutputMissing = "OutputMissing"
	// OutputInvalid: the output, or the error file, is not what the contract
	// asks for.
	OutputInvalid = "OutputInvalid"
	// OutputTooLarge: the output is over the type's limit.
	OutputTooLarge = "OutputTooLarge"
	// WorkerFailed: the worker crashed, as often as its type allows.
	WorkerFailed = "WorkerFailed"
)

// What the platform finds.
const (
	// TypeNotAccepted: the type exists but cannot be used as it is.
	TypeNotAccepted = "TypeNotAccepted"
	// LaunchRefused: the cluster refused the worker's Job or pod for good.
	LaunchRefused = "LaunchRefused"
	// NameTaken: another owner's Job has the process's name.
	NameTaken = "NameTaken"
	// OutOfMemory: the kernel ended the worker at its memory limit.
	OutOfMemory = "OutOfMemory"
	// DeadlineExceeded: an attempt ran longer than the type's timeout.
	DeadlineExceeded = "DeadlineExceeded"
	// ImagePullFailed: the worker's image could not be pulled.
	ImagePullFailed = "ImagePullFailed"
	// Unschedulable: no node took the worker's pod in time.
	Unschedulable = "Unschedulable"
	// StartTimeout: the worker's pod did not start in time.
	StartTimeout = "StartTimeout"
	// Evicted: the node ended the worker to save itself.
	Evicted = "Evicted"
	// NodeLost: the worker's node fell silent, and no attempt is left.
	NodeLost = "NodeLost"
	// ResultLost: the worker ended, and what it delivered did not arrive.
	ResultLost = "ResultLost"
)

// Pattern is what every errorCode looks like, as a regular expression.
const Pattern = `^[A-Za-z][A-Za-z0-9]{0,62}$`

var pattern = regexp.MustCompile(Pattern)

// Valid says whether s may be an errorCode: one word of at most 63 letters and
// digits that starts with a letter (CONTRACT.md, section 2).
func Valid(s string) bool { return pattern.MatchString(s) }
