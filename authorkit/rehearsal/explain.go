package rehearsal

import (
	"slices"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/errorcode"
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
	if said := errorcode.Explain(details); said != "" {
		return code + ": " + said
	}
	return code
}
