// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package agentapi

import (
	"encoding/json"
	"fmt"
)

// MaxReceiptBytes is the length of the longest termination message that Kubernetes keeps.
const MaxReceiptBytes = 4096

// Receipt is the copy of a result in the termination message of the agent's container. The
// operator uses it if the delivery over HTTP failed.
type Receipt struct {
	Result
	// Delivered: the collector has confirmed the result.
	Delivered bool `json:"delivered,omitempty"`
	// Truncated: the result did not fit, so Output or ErrorDetails are missing.
	Truncated bool `json:"truncated,omitempty"`
}

// Encode returns the receipt as JSON of at most MaxReceiptBytes. If it does not fit,
// Encode sets Truncated and leaves out Output, then ErrorDetails.
func (r Receipt) Encode() []byte {
	for _, shrink := range []func(){
		func() {},
		func() { r.Truncated, r.Output = true, "" },
		func() { r.ErrorDetails = "" },
	} {
		shrink()
		// A struct with strings, numbers and a time always encodes.
		if text, err := json.Marshal(r); err == nil && len(text) <= MaxReceiptBytes {
			return text
		}
	}
	return nil
}

// DecodeReceipt reads a termination message. An error means that the message is not a
// receipt: the agent was killed before it could write one, or the worker wrote the message.
func DecodeReceipt(message string) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return Receipt{}, fmt.Errorf("decode receipt: %w", err)
	}
	if r.Truncated && r.ErrorCode == "" && r.Output == "" {
		return r, nil
	}
	if err := r.Check(); err != nil {
		return Receipt{}, fmt.Errorf("decode receipt: %w", err)
	}
	return r, nil
}
