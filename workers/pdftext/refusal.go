// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// refusal is the content of the error file. The process ends in error, and the worker
// is not started again.
type refusal struct {
	Code    string  `json:"errorCode"`
	Details details `json:"errorDetails"`
}

// details has the same form as the error details of the API.
type details struct {
	In       string         `json:"in"`
	At       string         `json:"at"`
	Expected map[string]any `json:"expected,omitempty"`
	Message  string         `json:"message"`
}

func (r *refusal) Error() string { return r.Code + ": " + r.Details.Message }

const dataPath = "input.source.data"

func invalid(at string, expected map[string]any, message string) *refusal {
	return &refusal{"InvalidInput", details{"body", at, expected, message}}
}

func damaged(message string) *refusal {
	return &refusal{"DocumentDamaged", details{In: "body", At: dataPath, Message: message}}
}

var (
	passwordRequired = &refusal{"PasswordRequired", details{In: "body", At: dataPath, Message: "the document needs a password: send it without one"}}
	tooMuchText      = &refusal{"OutputTooLarge", details{"body", "input.pages", map[string]any{"maxBytes": maxText}, "the text of these pages is too long: ask for fewer pages"}}
)
