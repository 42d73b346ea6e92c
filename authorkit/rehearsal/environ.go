package rehearsal

import (
	"os"
	"regexp"
	"strings"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/internal/agentapi"
)

// environment is that of this machine, without the contract's names and the
// agent's, and what a type adds to it.
func environment(t *v1alpha1.ProcessType) []string {
	ofType, _ := typeEnviron(t)
	return append(foreign(os.Environ()), ofType...)
}

// foreign is an environment without the contract's names and the agent's.
func foreign(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, agentapi.EnvPrefix) && !strings.HasPrefix(entry, "PROCESS_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// typeEnviron are the variables that a type gives its workers by value, as the
// kubelet would set them. What it takes from Secrets and ConfigMaps is not here.
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

var reference = regexp.MustCompile(`\$\$|\$\([^)]*\)`)

// expand replaces $(NAME) by what values hold and $$ by $, as the kubelet does in
// a container's command, args and env. A name that there is no value of stays.
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
