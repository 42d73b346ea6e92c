// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"syscall"
	"time"

	"procman.dev/procman/internal/agentapi"
	"procman.dev/procman/internal/errorcode"
	"procman.dev/procman/internal/strictjson"
)

// ending is how a worker ended. judge needs no other information about the worker.
type ending struct {
	// startProblem is why the command could not be started; "" if it was started.
	startProblem string
	// exitCode is valid only if signal is 0.
	exitCode int
	// signal is the signal that ended the worker; 0 if it exited.
	signal syscall.Signal
	// timedOut is true if the agent stopped the worker at its deadline.
	timedOut bool
	// interrupted is true if the agent stopped the worker because the pod is being stopped.
	interrupted bool
	// oomKills is how many processes the kernel killed at the memory limit.
	oomKills int64
	// output and errorFile are the worker's files; nil for a file that does not exist.
	output, errorFile *file
	// stderr is the end of what the worker wrote to standard error.
	stderr string
	// cause is why the worker crashed; "" if the agent does not know it.
	cause string
	// permanent is true if every attempt will crash for this cause.
	permanent bool
}

// bounds are the limits that appear in errorDetails.
type bounds struct {
	timeout     time.Duration
	outputLimit int64
}

// judge returns the result of an attempt: the first case that applies of the table in "How
// it ends" of docs/worker-contract.md. The worker's own error comes first, then what the
// kernel and the clock report, then the exit code. An output over the limit counts however
// the worker ended: it may be the reason why the agent killed the worker, or why the disk
// was full.
func judge(e ending, b bounds) agentapi.Result {
	switch {
	case e.errorFile != nil:
		return judgeErrorFile(e.errorFile)
	case e.output != nil && e.output.size > b.outputLimit:
		return agentapi.Failure(errorcode.OutputTooLarge, map[string]any{
			"in": inOutput, "bytes": e.output.size, "maxBytes": b.outputLimit,
			"message": "the output is larger than limits.outputBytes of the type",
		})
	case e.oomKills > 0:
		return agentapi.Failure(errorcode.OutOfMemory, map[string]any{
			"message": "the worker reached the memory limit of its type; raise spec.template.resources.limits.memory or send a smaller input",
		})
	case e.timedOut:
		return agentapi.Failure(errorcode.DeadlineExceeded, map[string]any{
			"timeoutSeconds": int64(b.timeout / time.Second),
			"message":        "the worker ran longer than its type's timeoutSeconds",
		})
	case e.startProblem != "":
		return agentapi.Failure(errorcode.WorkerFailed, map[string]any{
			"message": "the worker's command could not be started: " + e.startProblem,
		})
	case e.signal == 0 && e.exitCode == 0:
		// A worker that was stopped can exit with 0 and leave an incomplete output. Such an
		// attempt counts as interrupted.
		if r := judgeOutput(e.output); r.Complete() || !e.interrupted {
			return r
		}
	}
	details := map[string]any{}
	if e.signal != 0 {
		details["signal"] = signalName(e.signal)
	} else {
		details["exitCode"] = e.exitCode
	}
	if e.cause != "" {
		details["message"] = e.cause
	}
	if e.permanent {
		return agentapi.Failure(errorcode.WorkerFailed, details)
	}
	if e.stderr != "" {
		details["stderr"] = e.stderr // the operator decides who gets it
	}
	r := agentapi.Failure(errorcode.WorkerFailed, details)
	r.Retry, r.Interrupted = true, e.interrupted
	return r
}

// The names of the worker's two files in errorDetails.
const (
	inOutput = "output"
	inError  = "error"
)

func judgeOutput(f *file) agentapi.Result {
	if f == nil {
		return agentapi.Failure(errorcode.OutputMissing, map[string]any{
			"message": "the worker exited with 0 but wrote nothing to the file that PROCESS_OUTPUT_FILE names",
		})
	}
	if f.err != nil {
		return agentapi.Failure(errorcode.OutputInvalid, map[string]any{"in": inOutput, "message": "the output cannot be read: " + f.err.Error()})
	}
	if err := strictjson.CheckObject(f.content); err != nil {
		return agentapi.Failure(errorcode.OutputInvalid, notJSON(inOutput, err))
	}
	return agentapi.Result{Output: string(f.content)}
}

// judgeErrorFile reads {"errorCode": "...", "errorDetails": {...}}. Anything else is
// OutputInvalid (docs/contract.md, section 2).
func judgeErrorFile(f *file) agentapi.Result {
	invalid := func(details map[string]any, why string) agentapi.Result {
		details["in"], details["message"] = inError, "the error file "+why
		return agentapi.Failure(errorcode.OutputInvalid, details)
	}
	if f.err != nil {
		return invalid(map[string]any{}, "cannot be read: "+f.err.Error())
	}
	if f.size > agentapi.MaxErrorDetailsBytes {
		return invalid(map[string]any{"bytes": f.size, "maxBytes": agentapi.MaxErrorDetailsBytes}, "is too large")
	}
	object, err := strictjson.ParseMembers(f.content)
	if err != nil {
		return agentapi.Failure(errorcode.OutputInvalid, notJSON(inError, err))
	}
	var code, details string
	for name, value := range object.Members() {
		at := map[string]any{"at": strictjson.Key(inError, name)}
		switch name {
		case "errorCode":
			_ = json.Unmarshal(value.Raw(), &code) // a code that is not a string is not valid below
		case "errorDetails":
			if details = string(value.Raw()); details == "null" {
				details = ""
			}
			if details != "" && details[0] != '{' {
				at["expected"] = map[string]any{"type": "object"}
				return invalid(at, "has errorDetails that are not an object")
			}
		default:
			return invalid(at, "has a member other than errorCode and errorDetails")
		}
	}
	if !errorcode.Valid(code) {
		return invalid(map[string]any{
			"at": strictjson.Key(inError, "errorCode"), "expected": map[string]any{"type": "string", "pattern": errorcode.Pattern},
		}, "has no valid errorCode")
	}
	return agentapi.Result{ErrorCode: code, ErrorDetails: details}
}

// notJSON returns errorDetails for a file that is not a strict JSON object, with the
// position of the error.
func notJSON(in string, err error) map[string]any {
	details := map[string]any{"in": in, "at": strictjson.Within(in, err), "message": err.Error()}
	if at, ok := errors.AsType[*strictjson.Error](err); ok {
		details["offset"] = at.Offset
		if at.At == "" {
			details["expected"] = map[string]any{"type": "object"}
		}
	}
	return details
}
