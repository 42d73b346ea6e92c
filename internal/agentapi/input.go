// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// headerProcess is a header of the response to GET InputPath: the Input as JSON,
// except its content, which is the body.
const headerProcess = "Procman-Process"

// Input is everything that an agent gets to know about its process. Its pod holds
// nothing of it.
type Input struct {
	ProcessID   string `json:"processId"`
	ProcessType string `json:"processType"`
	// Attempt is the number of this attempt, from 1.
	Attempt int32 `json:"attempt"`
	// Timeout is the longest run of the worker; in nanoseconds as JSON.
	Timeout time.Duration `json:"timeout"`
	// Content is the process's input, byte for byte. Who gets an Input closes it.
	Content io.ReadCloser `json:"-"`
	// Bytes is the size of Content.
	Bytes int64 `json:"-"`
}

// WithText returns the input with a text as its content.
func (in Input) WithText(text string) Input {
	in.Content, in.Bytes = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return in
}

// SetHeader writes all of the input except its content to the header of a response.
func (in *Input) SetHeader(h http.Header) {
	text, _ := json.Marshal(in) // strings and numbers always encode
	h.Set(headerProcess, string(text))
}

// ReadInput reads the header of a response to GET InputPath. It returns an error if
// headerProcess is absent or incomplete.
func ReadInput(h http.Header) (Input, error) {
	in, header := Input{}, h.Get(headerProcess)
	if err := json.Unmarshal([]byte(header), &in); err != nil {
		return Input{}, fmt.Errorf("header %s: %w", headerProcess, err)
	}
	if in.ProcessID == "" || in.ProcessType == "" || in.Attempt < 1 || in.Timeout <= 0 {
		return Input{}, fmt.Errorf("header %s is %s, expected processId, processType, attempt and timeout", headerProcess, header)
	}
	return in, nil
}
