package rehearsal

import (
	"regexp"
	"strings"

	"procman.dev/procman/api/v1alpha1"
)

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
