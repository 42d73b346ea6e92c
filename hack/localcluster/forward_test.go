package main

import "testing"

// A zero would be a port of the kernel's choice, which nobody would find.
func TestForwardsOfPortZero(t *testing.T) {
	for _, s := range []string{"0=30300", "3000=0"} {
		if err := (forwards{}).Set(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
