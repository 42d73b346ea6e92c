// Package agentapi is the wire between the agent in a worker's pod and the
// operator's collector: its paths, its types, and the names that the pod's
// builder and the agent must agree on. It imports nothing of Kubernetes, so
// that the agent stays small.
package agentapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// Audience is the audience of the token by which an agent proves which pod it
// runs in.
const Audience = "procman-collector"

// The collector's endpoints. All take the agent's token as bearer token, and
// answer with 409 when the process is over or gone, and with 410 when a newer
// attempt has this one's place.
const (
	// InputPath: GET answers with the process's input, byte for byte; or with 425
	// and Retry-After, in seconds, while the pause before the attempt lasts.
	InputPath = "/v1/input"
	// ResultPath: PUT takes a Result. 200 says it has been dealt with for good.
	ResultPath = "/v1/result"
	// ProgressPath: PUT takes a Progress.
	ProgressPath = "/v1/progress"
)

// HeaderAttempt, on the answer to GET InputPath, is the number of this attempt,
// from 1.
const HeaderAttempt = "Procman-Attempt"

// Where things are in the worker's container.
const (
	// AgentPath is the agent's own binary, however it was delivered.
	AgentPath = "/procman/agent"
	// ProcessDir is the directory of the worker's files (CONTRACT.md, section 2).
	ProcessDir = "/process"
	// TokenFile holds the agent's token; the kubelet renews it.
	TokenFile = "/var/run/procman/token"
	// TerminationLog is where the receipt is left for the kubelet to pick up.
	TerminationLog = "/dev/termination-log"
)

// The agent's settings, as environment variables that it does not hand on to
// the worker.
const (
	// EnvPrefix begins the names of all of them.
	EnvPrefix = "PROCMAN_"
	// EnvCollectorURL is the collector's base URL.
	EnvCollectorURL = "PROCMAN_COLLECTOR_URL"
	// EnvTimeoutSeconds bounds the worker's run, in whole seconds.
	EnvTimeoutSeconds = "PROCMAN_TIMEOUT_SECONDS"
	// EnvGraceSeconds is the time between SIGTERM and SIGKILL.
	EnvGraceSeconds = "PROCMAN_GRACE_SECONDS"
	// EnvDeliverySeconds is how long the agent tries to deliver the result;
	// DeliveryTimeout when absent.
	EnvDeliverySeconds = "PROCMAN_DELIVERY_SECONDS"
	// EnvOutputLimitBytes bounds the worker's output.
	EnvOutputLimitBytes = "PROCMAN_OUTPUT_LIMIT_BYTES"
)

// What the worker sees (CONTRACT.md, section 2).
const (
	EnvProcessID    = "PROCESS_ID"
	EnvProcessType  = "PROCESS_TYPE"
	EnvAttempt      = "PROCESS_ATTEMPT"
	EnvDeadline     = "PROCESS_DEADLINE"
	EnvInputFile    = "PROCESS_INPUT_FILE"
	EnvOutputFile   = "PROCESS_OUTPUT_FILE"
	EnvErrorFile    = "PROCESS_ERROR_FILE"
	EnvProgressFile = "PROCESS_PROGRESS_FILE"
)

// ExitFinal is the exit code by which the agent tells Kubernetes that another
// attempt is pointless: the Job's pod failure policy fails the Job on it. A
// worker's own exit code never reaches the Job as this one.
const ExitFinal = 113

// ExitInterrupted is the exit code by which the agent tells Kubernetes that its
// worker was told to stop from outside, before it was done: a pod that somebody
// deleted, say; or that a newer attempt has its place. The Job does not count it
// as an attempt, and goes on.
const ExitInterrupted = 114

// DeliveryTimeout is how long after the worker's end its agent keeps trying to
// deliver the result, where EnvDeliverySeconds does not say.
const DeliveryTimeout = 10 * time.Minute

// MaxPause bounds the pause that a type may ask for before another attempt.
const MaxPause = time.Hour

// MaxErrorDetailsBytes bounds a Result's ErrorDetails, and the file in which a
// worker declares them.
const MaxErrorDetailsBytes = 64 << 10

// Result is what became of one attempt.
type Result struct {
	// Attempt is the number the collector gave this attempt, from 1; 0 when the
	// agent never got one.
	Attempt int32 `json:"attempt,omitempty"`
	// StartTime is when the worker's command was started.
	StartTime time.Time `json:"startTime,omitzero"`
	// Output is the text of the worker's JSON object; set exactly when it
	// finished well.
	Output string `json:"output,omitempty"`
	// ErrorCode is set exactly when it did not.
	ErrorCode string `json:"errorCode,omitempty"`
	// ErrorDetails is the text of a JSON object, or empty.
	ErrorDetails string `json:"errorDetails,omitempty"`
	// Retry says that another attempt may do better: the worker crashed.
	Retry bool `json:"retry,omitempty"`
	// Interrupted says that the worker was told to stop from outside before it
	// was done: what it says of the work is nothing. Comes with Retry.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Complete says whether the attempt produced an output.
func (r *Result) Complete() bool { return r.ErrorCode == "" && r.Output != "" }

// Check says whether this is a result: an output that is a strict JSON object, or
// else an errorCode that is one word, with details that are such an object. What
// bears a worker's token or stands in its termination message need not be the
// agent's.
func (r *Result) Check() error {
	switch {
	case r.Complete():
		if err := strictjson.CheckObject([]byte(r.Output)); err != nil {
			return fmt.Errorf("output: %w", err)
		}
	case !errorcode.Valid(r.ErrorCode):
		return errors.New("neither an output nor an errorCode")
	case len(r.ErrorDetails) > MaxErrorDetailsBytes:
		return fmt.Errorf("errorDetails: %d bytes, at most %d", len(r.ErrorDetails), MaxErrorDetailsBytes)
	case r.ErrorDetails != "":
		if err := strictjson.CheckObject([]byte(r.ErrorDetails)); err != nil {
			return fmt.Errorf("errorDetails: %w", err)
		}
	}
	return nil
}

// Failure is a final result with a code and, as details, what a person needs to
// act on it: strings, numbers, and maps and lists of them.
func Failure(code string, details map[string]any) Result {
	text, _ := json.Marshal(details) // such details always encode
	return Result{ErrorCode: code, ErrorDetails: string(text)}
}

// Progress is the worker's report of how far it has come.
type Progress struct {
	// PercentComplete is between 0 and 100.
	PercentComplete int32 `json:"percentComplete"`
}
