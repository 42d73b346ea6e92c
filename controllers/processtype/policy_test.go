// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package processtype

import (
	"strings"
	"testing"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers/injection"
	"procman.dev/procman/controllers/internal/jobspec"
)

func TestPolicy(t *testing.T) {
	root := v1alpha1.SecurityContext{RunAsUser: new(int64(0))}
	escalating := v1alpha1.SecurityContext{PrivilegeEscalation: v1alpha1.PrivilegeEscalationAllowed}
	capable := func(capabilities ...v1alpha1.Capability) v1alpha1.SecurityContext {
		return v1alpha1.SecurityContext{AddCapabilities: capabilities}
	}
	const not = "the operator's --pod-security="
	for name, test := range map[string]struct {
		level    string
		security v1alpha1.SecurityContext
		want     []string // in the violations; none when empty
	}{
		"nothing asked for": {"restricted", v1alpha1.SecurityContext{}, nil},
		"what is harmless": {"restricted", v1alpha1.SecurityContext{
			RunAsUser: new(int64(1)), RunAsGroup: new(int64(0)), FSGroup: new(int64(0)),
			RootFilesystem: v1alpha1.RootFilesystemWritable, AddCapabilities: []v1alpha1.Capability{"NET_BIND_SERVICE"},
		}, nil},
		"root":                          {"restricted", root, []string{not + "restricted does not allow spec.template.securityContext.runAsUser: ", "allowed: any user except 0"}},
		"root, baseline":                {"baseline", root, nil},
		"escalation":                    {"restricted", escalating, []string{"spec.template.securityContext.privilegeEscalation: ", "allowed: Forbidden"}},
		"escalation, baseline":          {"baseline", escalating, nil},
		"a usual capability":            {"restricted", capable("CHOWN"), []string{"spec.template.securityContext.addCapabilities: ", "CHOWN", "allowed: NET_BIND_SERVICE"}},
		"a usual capability, baseline":  {"baseline", capable("CHOWN"), nil},
		"a mighty capability":           {"baseline", capable("SYS_ADMIN"), []string{not + "baseline", "addCapabilities: ", "SYS_ADMIN", "allowed: the default capabilities of container engines"}},
		"a mighty capability, anything": {"privileged", capable("SYS_ADMIN"), nil},
		"several": {"restricted", v1alpha1.SecurityContext{
			RunAsUser: new(int64(0)), AddCapabilities: []v1alpha1.Capability{"SYS_ADMIN"},
		}, []string{"runAsUser: ", ", nor spec.template.securityContext.", "addCapabilities: "}},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := NewPolicy(test.level)
			if err != nil {
				t.Fatal(err)
			}
			pt := named("a", 0)
			pt.Spec.Template.SecurityContext = test.security
			job := example(&pt, jobspec.Config{AgentImage: "agent", AgentInjection: injection.Auto})
			if len(job.Spec.Template.Spec.InitContainers) != 1 {
				t.Error("the agent's own container is not looked at")
			}
			got := policy.Violations(&job.Spec.Template.ObjectMeta, &job.Spec.Template.Spec)
			if len(test.want) == 0 && got != "" {
				t.Errorf("got %q, want none", got)
			}
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		})
	}
	if _, err := NewPolicy("lax"); err == nil || !strings.Contains(err.Error(), `"lax" is unknown, expected restricted, baseline or privileged`) {
		t.Errorf("a policy that there is not: %v", err)
	}
}
