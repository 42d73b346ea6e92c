// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// refusal is an error in an input that the type's inputSchema accepts. The process ends
// in error, and the worker is not started again.
type refusal struct {
	// at is the path of the wrong value, such as input.fields[0].area.
	at string
	// expected describes a correct value.
	expected any
	// message describes what is wrong.
	message string
}

func (r *refusal) Error() string { return r.at + ": " + r.message }

// write writes the refusal to the error file.
func (r *refusal) write(path string) error {
	type details struct {
		In       string `json:"in"`
		At       string `json:"at"`
		Expected any    `json:"expected,omitempty"`
		Message  string `json:"message"`
	}
	text, err := json.Marshal(struct {
		ErrorCode    string  `json:"errorCode"`
		ErrorDetails details `json:"errorDetails"`
	}{"InvalidInput", details{"body", r.at, r.expected, r.message}})
	if err != nil {
		return fmt.Errorf("encode refusal: %w", err)
	}
	return os.WriteFile(path, text, 0o600)
}
