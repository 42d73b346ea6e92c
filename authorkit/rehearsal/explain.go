package rehearsal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"procman.dev/procman/api/v1alpha1"
)

// CommandOf is the command to run: the one given, or the type's own with its
// args, as the kubelet would expand them; empty when there is neither.
func CommandOf(t *v1alpha1.ProcessType, given []string) []string {
	if len(given) > 0 {
		return given
	}
	if len(t.Spec.Command) == 0 { // args alone are for the image's entrypoint
		return nil
	}
	command := slices.Concat(t.Spec.Command, t.Spec.Args)
	_, values := typeEnviron(t)
	for i := range command {
		command[i] = expand(command[i], values)
	}
	return command
}

// Explain is an errorCode with what its details say to a person, on one line.
func Explain(code, details string) string {
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
		return code
	}
	var parts []string
	add := func(ok bool, format string, args ...any) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(d.At != "", "at %s", d.At)
	add(d.Expected != nil, "expected %s", d.Expected)
	add(d.ExitCode != nil, "exit code %d", deref(d.ExitCode))
	add(d.Signal != "", "signal %s", d.Signal)
	add(d.Bytes != nil && d.MaxBytes != nil, "%d bytes, at most %d", deref(d.Bytes), deref(d.MaxBytes))
	facts := strings.Join(parts, ", ")
	switch {
	case d.Message != "" && facts != "":
		return code + ": " + d.Message + " (" + facts + ")"
	case d.Message+facts != "":
		return code + ": " + d.Message + facts
	}
	return code
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
