// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The headers of the response to GET InputPath. Its body is the input.
const (
	headerProcessID      = "Procman-Process-Id"
	headerProcessType    = "Procman-Process-Type"
	headerAttempt        = "Procman-Attempt"
	headerTimeoutSeconds = "Procman-Timeout-Seconds"
)

// Input is everything that an agent gets to know about its process. Its pod holds
// nothing of it.
type Input struct {
	ProcessID   string
	ProcessType string
	// Attempt is the number of this attempt, from 1.
	Attempt int32
	// Timeout is the longest run of the worker, in whole seconds.
	Timeout time.Duration
	// Text is the process's input, byte for byte.
	Text string
}

// SetHeader writes all of the input except its text to the header of a response.
func (in *Input) SetHeader(h http.Header) {
	h.Set(headerProcessID, in.ProcessID)
	h.Set(headerProcessType, in.ProcessType)
	h.Set(headerAttempt, strconv.Itoa(int(in.Attempt)))
	h.Set(headerTimeoutSeconds, strconv.Itoa(int(in.Timeout/time.Second)))
}

// ReadInput reads a response to GET InputPath. The error names each header that is
// absent or invalid.
func ReadInput(h http.Header, body []byte) (Input, error) {
	var problems []error
	text := func(name string) string {
		value := h.Get(name)
		if value == "" {
			problems = append(problems, fmt.Errorf("the response has no header %s", name))
		}
		return value
	}
	number := func(name string) int32 {
		value, err := strconv.ParseInt(h.Get(name), 10, 32)
		if err != nil || value < 1 {
			problems = append(problems, fmt.Errorf("the header %s is %q, expected a positive number", name, h.Get(name)))
		}
		return int32(value)
	}
	in := Input{
		ProcessID:   text(headerProcessID),
		ProcessType: text(headerProcessType),
		Attempt:     number(headerAttempt),
		Timeout:     time.Duration(number(headerTimeoutSeconds)) * time.Second,
		Text:        string(body),
	}
	return in, errors.Join(problems...)
}
