package processtype

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Policy is a Pod Security Standard that the pods of every type have to keep to.
type Policy struct {
	level  podsecurity.Level
	checks []policy.Check
}

// NewPolicy is the policy of a level: restricted, baseline or privileged.
func NewPolicy(level string) (Policy, error) {
	parsed, err := podsecurity.ParseLevel(level)
	if err != nil {
		return Policy{}, fmt.Errorf("level %q is unknown, expected restricted, baseline or privileged", level)
	}
	p := Policy{level: parsed}
	overridden := map[policy.CheckID]bool{}
	for _, check := range policy.DefaultChecks() {
		if parsed == podsecurity.LevelRestricted || parsed == podsecurity.LevelBaseline && check.Level == podsecurity.LevelBaseline {
			p.checks = append(p.checks, check)
			for _, id := range latest(check).OverrideCheckIDs {
				overridden[id] = true
			}
		}
	}
	p.checks = slices.DeleteFunc(p.checks, func(c policy.Check) bool { return overridden[c.ID] })
	return p, nil
}

// latest is the newest form of a check, the last of its versions.
func latest(c policy.Check) policy.VersionedCheck { return c.Versions[len(c.Versions)-1] }

// fields of a type that each check is about, and what they may say. A type
// cannot fail any other check: it has no field for it.
var fields = map[policy.CheckID]struct{ field, allowed string }{
	"allowPrivilegeEscalation": {"privilegeEscalation", "Forbidden"},
	"capabilities_baseline":    {"addCapabilities", "those that container engines give by default"},
	"capabilities_restricted":  {"addCapabilities", "NET_BIND_SERVICE"},
	"runAsNonRoot":             {"runAsUser", "any user but 0"},
	"runAsUser":                {"runAsUser", "any user but 0"},
}

// Violations says for every field of a type that asks for more than the policy
// allows which it is, what it asked for and what is allowed; nothing when the pod
// keeps to the policy.
func (p Policy) Violations(meta *metav1.ObjectMeta, spec *corev1.PodSpec) string {
	var said []string
	seen := map[string]bool{}
	for _, check := range p.checks {
		result := latest(check).CheckPod(meta, spec)
		if result.Allowed {
			continue
		}
		at, allowed := "spec.template", "what the standard allows"
		if f, ok := fields[check.ID]; ok {
			at, allowed = "spec.template.securityContext."+f.field, f.allowed
		}
		if seen[at] {
			continue
		}
		seen[at] = true
		said = append(said, fmt.Sprintf("%s: %s (%s); allowed: %s", at, result.ForbiddenReason, result.ForbiddenDetail, allowed))
	}
	if len(said) == 0 {
		return ""
	}
	return "the operator's --pod-security=" + string(p.level) + " does not allow " + strings.Join(said, ", nor ")
}
