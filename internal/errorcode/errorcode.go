// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package errorcode lists every errorCode that the product itself uses, in HTTP
// responses and in the status of a Process (docs/contract.md, sections 1 and 2).
// Workers declare codes of their own in addition to these.
package errorcode

import "regexp"

// The codes. All has what each of them means.
const (
	MissingInput         = "MissingInput"
	UnrecognizedInput    = "UnrecognizedInput"
	InvalidInput         = "InvalidInput"
	InputTooLarge        = "InputTooLarge"
	UnsupportedMediaType = "UnsupportedMediaType"
	MethodNotAllowed     = "MethodNotAllowed"
	IdempotencyKeyReused = "IdempotencyKeyReused"
	TooManyRequests      = "TooManyRequests"
	ResourceNotFound     = "ResourceNotFound"
	ResourceExpired      = "ResourceExpired"

	OutputMissing    = "OutputMissing"
	OutputInvalid    = "OutputInvalid"
	OutputTooLarge   = "OutputTooLarge"
	WorkerFailed     = "WorkerFailed"
	OutOfMemory      = "OutOfMemory"
	DeadlineExceeded = "DeadlineExceeded"

	TypeNotAccepted = "TypeNotAccepted"
	LaunchRefused   = "LaunchRefused"
	NameTaken       = "NameTaken"
	ImagePullFailed = "ImagePullFailed"
	Unschedulable   = "Unschedulable"
	StartTimeout    = "StartTimeout"
	Evicted         = "Evicted"
	NodeLost        = "NodeLost"
	ResultLost      = "ResultLost"
	InternalError   = "InternalError"
)

// Fault is who has to change something after an error.
type Fault string

const (
	// Client: the request or the input is wrong.
	Client Fault = "client"
	// Worker: the worker, or what its type gives it, is wrong.
	Worker Fault = "worker"
	// Platform: the cluster, its operators or this product.
	Platform Fault = "platform"
)

// Code describes one errorCode.
type Code struct {
	Name  string
	Fault Fault
	// Final: the same request or process, sent again, gets the same error until
	// somebody changes something. After any other code it can succeed.
	Final bool
	// Meaning is one sentence for the docs, without a capital and a full stop.
	Meaning string
}

// All is every code, in the order of docs/error-codes.md.
var All = []Code{
	{MissingInput, Client, true, "`input` or a required property is absent"},
	{UnrecognizedInput, Client, true, "a property or a query parameter is unknown"},
	{InvalidInput, Client, true, "a value is wrong, the body is not a JSON object, or the process type is unknown"},
	{InputTooLarge, Client, true, "the input is larger than its type allows"},
	{UnsupportedMediaType, Client, true, "the body is not `application/json`"},
	{MethodNotAllowed, Client, true, "the URL does not have this method"},
	{IdempotencyKeyReused, Client, true, "the `Idempotency-Key` was used with another input"},
	{TooManyRequests, Client, false, "a limit is reached; try again after `Retry-After`"},
	{ResourceNotFound, Client, true, "nothing has this URL, or it was deleted"},
	{ResourceExpired, Client, true, "the process has expired"},

	{OutputMissing, Worker, true, "the worker exited with 0 and wrote no output"},
	{OutputInvalid, Worker, true, "the output or the error file is not what the contract requires"},
	{OutputTooLarge, Worker, true, "the output is larger than its type allows"},
	{WorkerFailed, Worker, false, "the worker crashed in its last attempt, or could not be started"},
	{OutOfMemory, Worker, true, "the worker reached its memory limit"},
	{DeadlineExceeded, Worker, true, "an attempt ran longer than its type's `timeoutSeconds`"},

	{TypeNotAccepted, Platform, true, "the process type is registered but cannot be used as it is"},
	{LaunchRefused, Platform, false, "the cluster refused the worker's Job"},
	{NameTaken, Platform, true, "a Job with the name of the process exists and is not its own"},
	{ImagePullFailed, Platform, false, "the worker's image could not be pulled"},
	{Unschedulable, Platform, false, "no node accepted the worker's pod in time"},
	{StartTimeout, Platform, false, "the worker's pod did not start in time"},
	{Evicted, Platform, false, "the node or the cluster ended the worker's pod"},
	{NodeLost, Platform, false, "the worker's node stopped answering and no attempt is left"},
	{ResultLost, Platform, false, "the worker ended and its result did not arrive"},
	{InternalError, Platform, false, "this product failed; its log has the cause"},
}

// FaultOf returns whose fault a code reports; "" for a code that is not in All,
// which is a worker's own.
func FaultOf(code string) Fault {
	for i := range All {
		if All[i].Name == code {
			return All[i].Fault
		}
	}
	return ""
}

// Pattern is the regular expression that every errorCode matches.
const Pattern = `^[A-Za-z][A-Za-z0-9]{0,62}$`

var pattern = regexp.MustCompile(Pattern)

// Valid reports whether s can be an errorCode: one word of at most 63 letters and
// digits that starts with a letter (docs/contract.md, section 2).
func Valid(s string) bool { return pattern.MatchString(s) }
