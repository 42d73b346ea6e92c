// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestExpiry(t *testing.T) {
	created := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		lifetime int32
		after    time.Duration
		want     bool
	}{
		"the last moment":            {60, 60*time.Second - 1, false},
		"the very second":            {60, 60 * time.Second, true},
		"later":                      {60, time.Hour, true},
		"without a lifetime: 20 min": {0, 20*time.Minute - 1, false},
		"and then":                   {0, 20 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Process{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(created)}, Spec: ProcessSpec{LifetimeSeconds: test.lifetime}}
			if got := p.Expired(created.Add(test.after)); got != test.want {
				t.Errorf("expired is %t, want %t; it expires at %s", got, test.want, p.ExpirationTime())
			}
		})
	}
}

// Every field of the status is frozen once the state is terminal, except conditions.
func TestEveryStatusFieldIsFrozen(t *testing.T) {
	definition, err := os.ReadFile("../../config/crd/bases/procman.dev_processes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.Join(strings.Fields(string(definition)), " ") // YAML breaks long lines
	for field := range reflect.TypeFor[ProcessStatus]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		frozen := "self." + name + " == oldSelf." + name
		if strings.Contains(rules, frozen) == (name == "conditions") {
			t.Errorf("status.%s is in the rule that freezes the result: %t", name, name == "conditions")
		}
	}
}
