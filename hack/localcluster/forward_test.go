// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// For port 0 the kernel would choose a random port.
func TestForwardsOfPortZero(t *testing.T) {
	for _, s := range []string{"0=30300", "3000=0"} {
		if err := (forwards{}).Set(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
