// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"slices"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/errorcode"
)

// CommandOf returns the command to run: given if it is not empty, or else the type's
// command and args, expanded as the kubelet does. It is empty if the type has no command.
func CommandOf(t *v1alpha1.ProcessType, given []string) []string {
	if len(given) > 0 {
		return given
	}
	if len(t.Spec.Command) == 0 { // args without a command belong to the image's entrypoint, which is not known here
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
	if text := errorcode.Explain(details); text != "" {
		return code + ": " + text
	}
	return code
}
