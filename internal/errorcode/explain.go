// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package errorcode

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Explain returns errorDetails, the text of a JSON object, as one line for people.
// It uses the members that the product itself writes and skips members of another
// type, which a worker may have written. Returns "" when nothing is left.
func Explain(details string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(details), &members) != nil {
		return ""
	}
	message, _ := as[string](members["message"])
	var facts []string
	if at, ok := as[string](members["at"]); ok && at != "" {
		facts = append(facts, "at "+at)
	}
	if expected, ok := members["expected"]; ok {
		facts = append(facts, "expected "+string(expected))
	}
	if code, ok := as[int](members["exitCode"]); ok {
		facts = append(facts, fmt.Sprintf("exit code %d", code))
	}
	if signal, ok := as[string](members["signal"]); ok && signal != "" {
		facts = append(facts, "signal "+signal)
	}
	size, hasSize := as[int64](members["bytes"])
	limit, hasLimit := as[int64](members["maxBytes"])
	if hasSize && hasLimit {
		facts = append(facts, fmt.Sprintf("%d bytes, at most %d", size, limit))
	}
	joined := strings.Join(facts, ", ")
	if message != "" && joined != "" {
		return message + " (" + joined + ")"
	}
	return message + joined
}

// as decodes a member. ok is false when it is absent, null, or of another type.
func as[T any](member json.RawMessage) (value T, ok bool) {
	ok = member != nil && string(member) != "null" && json.Unmarshal(member, &value) == nil
	return value, ok
}
