// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package localrun

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"procman.dev/procman/api/v1alpha1"
)

func TestCommandAndEnvironmentAreExpandedAsInAPod(t *testing.T) {
	pt := &v1alpha1.ProcessType{}
	pt.Spec.Command, pt.Spec.Args = []string{"/w", "$(MODEL)$"}, []string{"$(MODEL) $$(MODEL) $(NONE) $x $( $$"}
	pt.Spec.Template.Env = []v1alpha1.EnvVar{
		{Name: "MODEL", Value: new("large")},
		{Name: "KEY", ValueFrom: v1alpha1.EnvSource{SecretKeyRef: v1alpha1.KeyRef{Name: "s", Key: "k"}}},
		{Name: "PATHS", Value: new("/$(MODEL)/$(LATER)/$(KEY)")},
		{Name: "LATER"},
	}
	entries, _ := typeEnviron(pt)
	if diff := cmp.Diff([]string{"MODEL=large", "PATHS=/large/$(LATER)/$(KEY)", "LATER="}, entries); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/w", "large$", "large $(MODEL) $(NONE) $x $( $"}, CommandOf(pt, nil)); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"$$"}, CommandOf(pt, []string{"$$"})); diff != "" {
		t.Errorf("a command of this machine (-want +got):\n%s", diff)
	}
}
