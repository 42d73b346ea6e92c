package agentapi

import (
	"encoding/json"
	"fmt"
)

// MaxReceiptBytes is how much Kubernetes keeps of a container's termination
// message.
const MaxReceiptBytes = 4096

// Receipt is what an agent leaves in its container's termination message: the
// second channel of a result, for when the delivery over HTTP did not arrive.
type Receipt struct {
	Result
	// Delivered says that the collector has confirmed the result.
	Delivered bool `json:"delivered,omitempty"`
	// Truncated says that the result did not fit: Output or ErrorDetails are
	// missing from it.
	Truncated bool `json:"truncated,omitempty"`
}

// Encode returns the receipt as JSON of at most MaxReceiptBytes. What does not
// fit is left out and Truncated is set.
func (r Receipt) Encode() []byte {
	for _, shrink := range []func(){
		func() {},
		func() { r.Truncated, r.Output = true, "" },
		func() { r.ErrorDetails = "" },
	} {
		shrink()
		// A struct of strings, numbers and a time always encodes.
		if text, err := json.Marshal(r); err == nil && len(text) <= MaxReceiptBytes {
			return text
		}
	}
	return nil
}

// DecodeReceipt reads a termination message. An error means that the message
// is no receipt: the agent was killed before it could leave one, or the worker
// wrote something of its own.
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
