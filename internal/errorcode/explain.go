package errorcode

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Explain is what errorDetails, a JSON object, say to a person, on one line; ""
// when they hold nothing that the product itself puts there. A worker may have put
// something of another type in its place, which says nothing here.
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
	size, ok := as[int64](members["bytes"])
	most, ok2 := as[int64](members["maxBytes"])
	if ok && ok2 {
		facts = append(facts, fmt.Sprintf("%d bytes, at most %d", size, most))
	}
	said := strings.Join(facts, ", ")
	if message != "" && said != "" {
		return message + " (" + said + ")"
	}
	return message + said
}

// as is a member's value, if there is one of this type.
func as[T any](member json.RawMessage) (value T, ok bool) {
	ok = member != nil && string(member) != "null" && json.Unmarshal(member, &value) == nil
	return value, ok
}
