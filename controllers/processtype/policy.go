// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

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

// Policy is the Pod Security Standard that the pods of all types must satisfy.
type Policy struct {
	level  podsecurity.Level
	checks []policy.Check
}

// NewPolicy returns the policy of a level: restricted, baseline or privileged. It
// returns an error for any other level.
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

// latest returns the newest version of a check.
func latest(c policy.Check) policy.VersionedCheck { return c.Versions[len(c.Versions)-1] }

// fields maps each check that depends on one field of the type to this field and its
// allowed values.
var fields = map[policy.CheckID]struct{ field, allowed string }{
	"allowPrivilegeEscalation": {"privilegeEscalation", "Forbidden"},
	"capabilities_baseline":    {"addCapabilities", "the default capabilities of container engines"},
	"capabilities_restricted":  {"addCapabilities", "NET_BIND_SERVICE"},
	"runAsNonRoot":             {"runAsUser", "any user except 0"},
	"runAsUser":                {"runAsUser", "any user except 0"},
}

// Violations describes what the policy forbids about a pod: each field of the type
// with its value and with what is allowed. It is empty if the pod satisfies the
// policy.
func (p Policy) Violations(meta *metav1.ObjectMeta, spec *corev1.PodSpec) string {
	var violations []string
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
		violations = append(violations, fmt.Sprintf("%s: %s (%s); allowed: %s", at, result.ForbiddenReason, result.ForbiddenDetail, allowed))
	}
	if len(violations) == 0 {
		return ""
	}
	return "the operator's --pod-security=" + string(p.level) + " does not allow " + strings.Join(violations, ", nor ")
}
