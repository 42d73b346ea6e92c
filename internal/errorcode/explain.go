package errorcode

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Explain is what errorDetails, a JSON object, say to a person, on one line; ""
// when they hold nothing that the product itself puts there.
func Explain(details string) string {
	var d struct {
		Message  string          `json:"message"`
		At       string          `json:"at"`
		Expected json.RawMessage `json:"expected"`
		ExitCode *int            `json:"exitCode"`
		Signal   string          `json:"signal"`
		Bytes    *int64          `json:"bytes"`
		MaxBytes *int64          `json:"maxBytes"`
	}
	if json.Unmarshal([]byte(details), &d) != nil {
		return ""
	}
	var facts []string
	add := func(ok bool, format string, args ...any) {
		if ok {
			facts = append(facts, fmt.Sprintf(format, args...))
		}
	}
	add(d.At != "", "at %s", d.At)
	add(d.Expected != nil, "expected %s", d.Expected)
	add(d.ExitCode != nil, "exit code %d", deref(d.ExitCode))
	add(d.Signal != "", "signal %s", d.Signal)
	add(d.Bytes != nil && d.MaxBytes != nil, "%d bytes, at most %d", deref(d.Bytes), deref(d.MaxBytes))
	said := strings.Join(facts, ", ")
	if d.Message != "" && said != "" {
		return d.Message + " (" + said + ")"
	}
	return d.Message + said
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
