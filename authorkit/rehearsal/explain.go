// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package rehearsal

import (
	"slices"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/errorcode"
)

// CommandOf returns the command to run: given, or else the type's command and args,
// expanded as the kubelet does it. It is empty if there is neither.
func CommandOf(t *v1alpha1.ProcessType, given []string) []string {
	if len(given) > 0 {
		return given
	}
	if len(t.Spec.Command) == 0 { // args alone belong to the image's entrypoint, which is unknown here
		return nil
	}
	command := slices.Concat(t.Spec.Command, t.Spec.Args)
	_, values := typeEnviron(t)
	for i := range command {
		command[i] = expand(command[i], values)
	}
	return command
}

// Explain describes an errorCode and its errorDetails in one line.
func Explain(code, details string) string {
	if said := errorcode.Explain(details); said != "" {
		return code + ": " + said
	}
	return code
}
