// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ogen contains what ogen generates; the test adds it.
package ogen

import "testing"

// TestUnion checks that the state selects the type of a process.
func TestUnion(t *testing.T) {
	var p EchoProcess
	if err := p.UnmarshalJSON([]byte(`{"processId":"a","state":"complete","expirationDateTime":"2026-01-02T03:04:05.000Z","createdDateTime":"2026-01-02T03:03:05.000Z","input":{},"output":{"hello":"world"},"later":1}`)); err != nil {
		t.Fatal(err)
	}
	complete, ok := p.GetEchoComplete()
	if !ok {
		t.Fatalf("the process is a %s, want EchoComplete", p.Type)
	}
	if got := string(complete.Output["hello"]); got != `"world"` {
		t.Errorf("hello is %s, want world", got)
	}
}
