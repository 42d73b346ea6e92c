// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agentapi is the protocol between the agent in a worker's pod and the
// operator's collector: paths, headers, types and errors, and the names that the
// pod's template and the agent must agree on. It imports nothing of Kubernetes, so
// that the agent stays small. Package agentserver serves it.
package agentapi

import "time"

// Audience is the audience of the token with which an agent proves which pod it
// runs in. The token is sent as a bearer token with every request.
const Audience = "procman-collector"

// The collector's endpoints.
const (
	// InputPath: GET returns an Input.
	InputPath = "/v1/input"
	// ResultPath: PUT accepts a Result. 200 means that the collector needs nothing
	// more of this attempt. In /v1, all of the result was JSON in the body.
	ResultPath = "/v2/result"
	// ProgressPath: PUT accepts a Progress that is due.
	ProgressPath = "/v1/progress"
)

// Paths in the worker's container.
const (
	// AgentPath is the agent's binary, in every way of injection.
	AgentPath = "/procman/agent"
	// ProcessDir is the directory of the worker's files (docs/contract.md, section 2).
	ProcessDir = "/process"
	// TokenFile holds the agent's token; the kubelet renews it.
	TokenFile = "/var/run/procman/token"
	// TerminationLog is the file whose content the kubelet puts into the pod's status:
	// the place of the Receipt.
	TerminationLog = "/dev/termination-log"
)

// The agent's settings: environment variables of the pod that the worker does not
// get. They depend on the process type only, never on a process.
const (
	// EnvPrefix is the prefix of all of them.
	EnvPrefix = "PROCMAN_"
	// EnvCollectorURL is the collector's base URL.
	EnvCollectorURL = "PROCMAN_COLLECTOR_URL"
	// EnvGraceSeconds is the time between SIGTERM and SIGKILL.
	EnvGraceSeconds = "PROCMAN_GRACE_SECONDS"
	// EnvDeliverySeconds is how long the agent tries to deliver the result;
	// DeliveryTimeout when absent.
	EnvDeliverySeconds = "PROCMAN_DELIVERY_SECONDS"
	// EnvOutputLimitBytes is the largest output that the worker may write.
	EnvOutputLimitBytes = "PROCMAN_OUTPUT_LIMIT_BYTES"
)

// The environment variables that the worker gets (docs/contract.md, section 2).
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

// ExitFinal is the agent's exit code when another attempt is pointless: the Job's
// pod failure policy then fails the Job. When a worker exits with this code itself,
// the agent exits with another one.
const ExitFinal = 113

// ExitInterrupted is the agent's exit code when its worker was stopped from outside
// before it was done (somebody deleted the pod), or when a newer attempt exists. The
// Job does not count the pod as an attempt, and creates another one if it needs one.
const ExitInterrupted = 114

// DeliveryTimeout is how long after the worker's end its agent tries to deliver
// the result, unless EnvDeliverySeconds is set.
const DeliveryTimeout = 10 * time.Minute

// MaxPause is the longest pause that a type can ask for before another attempt.
const MaxPause = time.Hour

// MaxPayloadBytes is the size of the largest input and of the largest output of any type.
const MaxPayloadBytes = 8 << 20

// MaxErrorDetailsBytes is the largest ErrorDetails of a Result, and the largest
// error file of a worker.
const MaxErrorDetailsBytes = 64 << 10
