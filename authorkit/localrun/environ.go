// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"os"
	"regexp"
	"strings"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// environment returns the environment of this process and the variables of a type,
// without variables that only the agent may set.
func environment(t *v1alpha1.ProcessType) []string {
	variables, _ := typeEnviron(t)
	return append(withoutReserved(os.Environ()), variables...)
}

// withoutReserved returns an environment without the variables of the worker contract
// and of the agent.
func withoutReserved(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, agentapi.EnvPrefix) && !strings.HasPrefix(entry, "PROCESS_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// typeEnviron returns the variables that a type sets by value, with references
// expanded as the kubelet does. Variables from Secrets and ConfigMaps are not included.
func typeEnviron(t *v1alpha1.ProcessType) (entries []string, values map[string]string) {
	values = map[string]string{}
	for _, v := range t.Spec.Template.Env {
		if v.ValueFrom != (v1alpha1.EnvSource{}) {
			continue
		}
		value := ""
		if v.Value != nil {
			value = expand(*v.Value, values)
		}
		values[v.Name] = value
		entries = append(entries, v.Name+"="+value)
	}
	return entries, values
}

// reference matches $$ and $(NAME).
var reference = regexp.MustCompile(`\$\$|\$\([^)]*\)`)

// expand replaces $(NAME) by the value of NAME and $$ by $, as the kubelet does in a
// container's command, args and env. A reference to an unknown name stays as it is.
func expand(text string, values map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := values[strings.TrimSuffix(found[len("$("):], ")")]; ok {
			return value
		}
		return found
	})
}
